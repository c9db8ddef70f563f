"""A cache as the templates declare it, and the program that serves it."""

import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from local.process import Program
from local.resolved import Resource, Resources
from local.state import REPOSITORY

_ELASTICACHE = "AWS::ElastiCache"
GROUP = f"{_ELASTICACHE}::ReplicationGroup"
USER, USERS, PARAMETERS = f"{_ELASTICACHE}::User", f"{_ELASTICACHE}::UserGroup", f"{_ELASTICACHE}::ParameterGroup"
READ = (USER, USERS, PARAMETERS)
"""Types that the program reads, beside the group itself."""


class Cache(msgspec.Struct, frozen=True, kw_only=True):
    """One replication group."""

    region: str
    group: str
    users: dict[str, str]
    """Access string of each user."""
    parameters: dict[str, str]


def cache_in(resources: Resources) -> Cache | None:
    """The cache of a region; None where it has none.

    :raises DeclarationError: there are several, or what it names is not declared.
    """
    if not any(resources.of_type(GROUP)):
        return None
    group = resources.only(GROUP)
    users = [resources.by_id(USERS, named) for named in group.properties["UserGroupIds"]]
    parameters = resources.by_id(PARAMETERS, group.properties["CacheParameterGroupName"])
    return Cache(
        region=resources.region,
        group=group.physical_id,
        users=dict(_user(resources.by_id(USER, named)) for each in users for named in each.properties["UserIds"]),
        parameters={str(name): str(value) for name, value in parameters.properties["Properties"].items()},
    )


def program(
    cache: Cache, *, name: str, port: int, health: int, aws: str, tls: Path, environment: Mapping[str, str], log: Path
) -> Program:
    """What serves ``cache`` on ``port``, and says on ``health`` that it does. It may be lost: it is started again."""
    given = (
        "--port",
        port,
        "--health",
        health,
        "--aws",
        aws,
        "--tls",
        tls,
        "--cache",
        msgspec.json.encode(cache).decode(),
    )
    return Program(
        name=name,
        command=(sys.executable, "-m", "local.cache", *map(str, given)),
        directory=REPOSITORY,
        environment=environment,
        log=log,
        health=f"http://127.0.0.1:{health}/",
        restarts=True,
    )


def _user(resource: Resource) -> tuple[str, str]:
    return str(resource.properties["UserName"]), str(resource.properties["AccessString"])
