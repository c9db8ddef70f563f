"""A cluster of development Vaults, the record of its recovery keys, and a bootstrap of it."""

import base64
import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import hvac
import pytest

from anfl.auth.policies import load_policies
from anfl.auth.table import AuthTable
from anfl.auth.vault import VaultClient
from anfl.auth.vault_bootstrap import Recovery, VaultBootstrap
from anfl.auth.vault_setup import VaultSetup
from local.vault.build import build
from local.vault.core import Core
from local.vault.http import serve
from tests.unit.auth.conftest import AUDIENCE, ENVIRONMENT, ISSUER, REGION


@dataclass
class Cluster:
    """Nodes that have joined one another answer alike, so they share one server's state."""

    exits: ExitStack
    size: int = 3
    wiped: int = 0
    urls: list[str] = field(default_factory=list)
    core: Core = field(default_factory=lambda: build(auto_unseal=True))

    def addresses(self) -> Sequence[str]:
        return self.urls

    def wipe(self) -> None:
        self.wiped += 1
        self.empty()
        self.start()

    def empty(self) -> None:
        """Nodes that are stopped."""
        self.urls = ["http://127.0.0.1:9"] * self.size

    def start(self) -> None:
        """New, empty nodes."""
        self.core = build(auto_unseal=True)
        self.urls = [self.exits.enter_context(listening(self.core)) for _ in range(self.size)]

    def root(self) -> hvac.Client:
        """A client that may do anything; its token is the test's own."""
        return hvac.Client(url=self.urls[0], token=self.core.tokens.create_root().id)

    def root_tokens(self) -> int:
        """How many tokens that may do anything are alive."""
        tokens = self.core.tokens
        return sum("root" in token.policies for a in tokens.accessors() if (token := tokens.find_by_accessor(a)))

    def is_opened_by(self, recovery_keys: Sequence[str]) -> bool:
        """Whether these are the recovery keys that were told when it was initialised."""
        shares = (base64.b64decode(key) for key in recovery_keys)
        return {hashlib.sha256(share).hexdigest() for share in shares} == self.core.seal.shares


@contextmanager
def listening(core: Core) -> Iterator[str]:
    server = serve(core)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Store:
    """A record that remembers what was ever in it."""

    current: Recovery | None = None
    written: list[Recovery] = field(default_factory=list)

    def read(self) -> Recovery | None:
        return self.current

    def write(self, recovery: Recovery) -> None:
        self.current = recovery
        self.written.append(recovery)


def make(cluster: Cluster, store: Store, table: AuthTable, aws_endpoint: str, **changes: Any) -> VaultBootstrap:
    settings: dict[str, Any] = {"policies": load_policies()} | changes

    def setup(vault: VaultClient) -> VaultSetup:
        return VaultSetup(
            vault,
            environment=ENVIRONMENT,
            region=REGION,
            auth_table=table,
            issuer=ISSUER,
            audience=AUDIENCE,
            sts_endpoint=aws_endpoint,
            **settings,
        )

    return VaultBootstrap(
        nodes=cluster,
        size=3,
        store=store,
        setup=setup,
        in_use=lambda: any(key.region == REGION for key in table.published_keys()),
        pause=lambda _seconds: None,
    )


class ProcessDiedError(Exception):
    """The process ends here."""


def die_after(writes: int, patch: pytest.MonkeyPatch) -> None:
    """Let so many writes pass, whatever they go to; the process dies of the next, which is done and not answered.

    What only reads changes nothing: to die of it is to die of the write before.
    """
    seen = 0

    def mortal(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def call(*args: Any, **options: Any) -> Any:
            nonlocal seen
            answer = original(*args, **options)
            reads = owner is hvac.adapters.RawAdapter and args[1].lower() in {"get", "head", "list"}
            seen += not reads
            if not reads and seen > writes:
                raise ProcessDiedError
            return answer

        patch.setattr(owner, name, call)

    for owner, name in (
        (hvac.adapters.RawAdapter, "request"),
        (AuthTable, "publish"),
        (AuthTable, "withdraw"),
        (Store, "write"),
        (Cluster, "empty"),
        (Cluster, "start"),
    ):
        mortal(owner, name)
