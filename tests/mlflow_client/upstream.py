"""A pytest plugin that points MLflow's own tests at this registry (docs/model_registry.md, *Tests*, says how).

These are the suites that MLflow keeps for a live registry: those of its REST client against a server, and the
behavioural ones of its SQL store, run here through its REST store. Only the fixtures ``client`` and ``store`` are
replaced; the tests stay as they are. Each has a tenant, so an empty registry, of its own.
"""

import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.store.model_registry import sqlalchemy_store
from mlflow.store.model_registry.rest_store import RestStore
from mlflow.utils.rest_utils import MlflowHostCreds
from not_applicable import REASONS

from local.registry.running import Running, new_token, running

_MADE_HERE = ("client", "store")
_UNNEEDED = ("cached_db", "db_uri", "workspaces_enabled")
"""Fixtures that set up a database for the replaced ones."""
_EMPTY_ON_THE_WIRE = ("_description", "_run_id", "_run_link", "token")
"""What the SQL store says with None and MLflow's REST client, from any server, with ``""``."""


class WireStore(RestStore):  # type: ignore[misc]
    """The REST store, speaking as the SQL store does: None for nothing, numbers for versions, and its clock stops."""

    def __init__(self, registry: Running, token: str) -> None:
        super().__init__(lambda: MlflowHostCreds(registry.url, token=token))
        self._registry = registry

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or name == "get_host_creds" or not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            moment = _stopped_at()
            if moment is not None:
                self._registry.set_time(moment)
            try:
                return _as_the_sql_store(found(*args, **kwargs))
            finally:
                if moment is not None:
                    self._registry.set_time(None)

        return call


def _stopped_at() -> int | None:
    """The moment, in milliseconds, at which a test stopped the clock."""
    if isinstance(time.time, Mock):
        return int(time.time() * 1000)
    clock = sqlalchemy_store.get_current_time_millis
    return int(clock()) if isinstance(clock, Mock) else None


def _as_the_sql_store(answer: Any) -> Any:
    for entity in [answer, *(answer if isinstance(answer, list) else ())]:
        for name in _EMPTY_ON_THE_WIRE:
            if getattr(entity, name, None) == "":
                setattr(entity, name, None)
        if isinstance(entity, ModelVersion):
            entity._version = int(entity.version)
        if isinstance(entity, RegisteredModel):
            entity._aliases = {alias: int(version) for alias, version in entity.aliases.items()}
            _as_the_sql_store(entity.latest_versions)
    return answer


@pytest.fixture(scope="session")
def registry() -> Iterator[Running]:
    """The one service of this run."""
    with running("--any-source") as service:
        yield service


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: Any) -> object | None:
    """Make this registry's client or store instead of the module's own."""
    name = fixturedef.argname
    if name in _UNNEEDED:
        value: object = name
    elif name in _MADE_HERE:
        service, token = request.getfixturevalue("registry"), new_token()
        if name == "store":
            value = WireStore(service, token)
        else:
            request.getfixturevalue("monkeypatch").setenv("MLFLOW_TRACKING_TOKEN", token)
            value = MlflowClient(service.url)
    else:
        return None
    fixturedef.cached_result = (value, fixturedef.cache_key(request), None)
    return value


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run each test once, whatever back ends it is parametrized with, and skip what cannot apply."""
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        parameters = getattr(item, "callspec", None)
        twice = {"file", "workspace-enabled"} & set(parameters._idlist if parameters else ())
        (dropped if twice else kept).append(item)
        reason = REASONS.get(item.name.partition("[")[0]) or REASONS.get(item.name)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
    items[:] = kept
    config.hook.pytest_deselected(items=dropped)
