"""Puts a server together from its parts."""

import time
from collections.abc import Callable

from local.vault.approle import AppRoleBackend
from local.vault.aws_auth import AwsBackend
from local.vault.core import Core, Mount
from local.vault.jwt_auth import JwtBackend
from local.vault.system import SystemBackend
from local.vault.token_backend import TokenBackend
from local.vault.transit import TransitBackend


def build(
    *, sts_endpoint: str | None = None, clock: Callable[[], float] = time.time, auto_unseal: bool = False
) -> Core:
    """A server that is neither initialised nor unsealed.

    :param sts_endpoint: STS for auth mounts of type ``aws`` whose configuration names none.
    :param auto_unseal: behave as with a key of KMS.
    """
    core = Core(clock=clock, auto_unseal=auto_unseal)
    system = SystemBackend(
        core,
        engines={"transit": lambda _path: TransitBackend(clock=clock)},
        methods={
            "approle": lambda path: AppRoleBackend(core, path),
            "jwt": lambda path: JwtBackend(core, path),
            "aws": lambda path: AwsBackend(core, path, sts_endpoint=sts_endpoint),
        },
    )
    core.mount(Mount(path="sys/", backend=system, description="system endpoints used for control and policy"))
    token = TokenBackend(core.tokens, acl=core.acl, clock=clock)
    core.mount(Mount(path="auth/token/", backend=token, description="token based credentials"))
    return core


def build_open(*, root_token: str, sts_endpoint: str | None = None, clock: Callable[[], float] = time.time) -> Core:
    """As ``vault server -dev``: initialised, unsealed, with a known root token."""
    core = build(sts_endpoint=sts_endpoint, clock=clock)
    core.seal.open()
    core.tokens.create_root(root_token)
    return core
