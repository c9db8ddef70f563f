"""Takes a cluster of Vault nodes from nothing to ready, and keeps its set-up current at every deployment.

A cluster stands in one of these states, told by the nodes and by the record of its recovery keys:

=============  ========================  ==============================================================
cluster        record                    what is done
=============  ========================  ==============================================================
empty          none, or with root token  initialise one node (the others join it), record, set up
initialised    none                      nobody can ever open it: wipe it, unless it was in use; as above
any            that it is being wiped    an earlier run stopped in the midst of it: wipe it again; as above
initialised    with root token           an earlier run stopped halfway: set up
initialised    without root token        log in by the own IAM role and reconcile
empty          without root token        its data is lost: refuse; a snapshot must be restored
=============  ========================  ==============================================================

Setting up ends with an ``auth/aws`` role for the caller, proven by a login, and only then is the root token revoked and
taken from the record. A run may be interrupted anywhere and started again.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import hvac
import msgspec
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest
from hvac.exceptions import VaultError as HvacError
from requests import RequestException

from anfl.auth.policies import POLICIES_OF
from anfl.auth.vault import Credentials, IamRole, StaticToken, VaultClient, session
from anfl.auth.vault_setup import VaultSetup
from anfl.problems import Problem
from anfl.resources import Caretaker

T = TypeVar("T")
_log = logging.getLogger(__name__)

_TIMEOUTS = (2.0, 60.0)
"""Initialising writes to KMS and to disk."""
_READ_SECONDS = 10.0
_PAUSE_SECONDS = 2.0
_METHODS = ("approle", "aws", "jwt")
AUDIT_DEVICES: Mapping[str, Mapping[str, str]] = {
    "file": {"file_path": "/var/log/vault/audit.log", "mode": "0600"},
    "syslog": {"facility": "AUTH", "tag": "vault-audit"},
}
"""By type. Vault refuses every request that it can write to none of them, so they lie on different disks."""
AUTOPILOT: Mapping[str, object] = {
    # Only with a least number of servers (`min_quorum`) beside it.
    "cleanup_dead_servers": True,
    # The least that Vault takes. A node that is replaced must be forgotten before the next one goes.
    "dead_server_last_contact_threshold": "1m",
    "server_stabilization_time": "10s",
}


class BootstrapError(Exception):
    """The cluster cannot be brought up without a person; the message says why and what to do."""


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """What opens a cluster when nothing else does."""

    recovery_keys: tuple[str, ...]
    """One: a secret that holds them all would be no safer for several."""
    root_token: str | None = None
    """Until the cluster is set up."""
    wiping: bool = False
    """There are no keys: the nodes are being emptied, and may be at a standstill."""


class RecoveryStore(Protocol):
    """Where the recovery material is kept."""

    def read(self) -> Recovery | None:
        """None where nothing was recorded yet."""

    def write(self, recovery: Recovery) -> None:
        """Replace the record."""


class Nodes(Protocol):
    """The machines."""

    def addresses(self) -> Sequence[str]:
        """Base URLs of the nodes that run at the moment, always in the same order."""

    def wipe(self) -> None:
        """Stop all of them, then delete their data, then start them: one that still ran would be joined again."""


class VaultBootstrap:
    """One region's cluster."""

    def __init__(
        self,
        *,
        nodes: Nodes,
        size: int,
        store: RecoveryStore,
        setup: Callable[[VaultClient], VaultSetup],
        in_use: Callable[[], bool],
        server_name: str | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """:param size: how many nodes there are to be.
        :param setup: what to bring a Vault into, by a client that may.
        :param in_use: whether anything outside shows that this cluster has served before.
        :param server_name: whom the nodes' certificates name.
        """
        self._nodes = nodes
        self._size = size
        self._store = store
        self._setup = setup
        self._in_use = in_use
        self._server_name = server_name
        self._pause = pause

    def run(self, *, iam_roles: Mapping[str, str], seconds: float) -> None:
        """Bring the cluster up, or its set-up up to date.

        :param iam_roles: ARN of the IAM role by name of the function, service or node.
        :param seconds: how long to wait for nodes, all in all.
        :raises BootstrapError: a person must decide, or the nodes do not answer in time.
        """
        until = time.monotonic() + seconds
        record = self._store.read()
        if record is not None and record.wiping:
            record, initialised = None, self._wipe(until)
        else:
            initialised = self._initialised(until)
        if record is None and initialised:
            self._check_unused(initialised[0])
            initialised = self._wipe(until)
        if not initialised:
            if record is not None and record.root_token is None:
                raise BootstrapError(
                    "the nodes are empty although the cluster was in use: restore a snapshot with "
                    "'vault operator raft snapshot restore -force' (docs/security_architecture.md)"
                )
            record = self._initialise()
        if record is None:
            raise AssertionError("an initialised cluster without a record was wiped")
        active = self._wait_until_open(until)
        if record.root_token is not None:
            self._set_up(active, record, iam_roles)
        else:
            self._reconcile(active, iam_roles)

    def _initialised(self, until: float) -> tuple[str, ...]:
        """The initialised ones among the nodes, as soon as all of them answer."""

        def look() -> tuple[str, ...] | None:
            addresses = self._nodes.addresses()
            if len(addresses) < self._size:
                return None
            states = {address: self._node(address).sys.is_initialized() for address in addresses}
            return tuple(address for address, initialised in states.items() if initialised)

        return self._wait(look, until, f"{self._size} nodes that answer")

    def _initialise(self) -> Recovery:
        """Exactly one node, never again on doubt: an answer that is lost leaves an unrecorded cluster, to be wiped."""
        address = self._nodes.addresses()[0]
        answer = self._node(address).adapter.put("/v1/sys/init", json={"recovery_shares": 1, "recovery_threshold": 1})
        record = Recovery(recovery_keys=tuple(answer["recovery_keys_base64"]), root_token=answer["root_token"])
        self._store.write(record)
        _log.info("initialised", extra={"node": address})
        return record

    def _check_unused(self, address: str) -> None:
        """Whether a cluster whose keys nobody has may go: somebody stopped between initialising and recording."""
        if self._in_use() or any(self._has_method(address, method) for method in _METHODS):
            raise BootstrapError(
                "the cluster is in use, but the record of its recovery keys is gone: it is not wiped. Restore the "
                "secret's earlier version, or generate a root token with the recovery keys kept elsewhere"
            )

    def _wipe(self, until: float) -> tuple[str, ...]:
        """Empty nodes. It is recorded first: one that was stopped and not started again answers nobody."""
        _log.warning("an initialised cluster that nobody can open is wiped")
        self._store.write(Recovery(recovery_keys=(), wiping=True))
        self._nodes.wipe()
        self._wait(lambda: None if self._initialised(until) else True, until, "empty nodes after the wipe")
        return ()

    def _has_method(self, address: str, method: str) -> bool:
        """Whether somebody set up this way to log in: only then does it answer those who have no token."""
        try:
            self._node(address).adapter.post(f"/v1/auth/{method}/login", json={})
        except (Forbidden, InvalidPath):
            return False
        except InvalidRequest:
            return True
        return True

    def _wait_until_open(self, until: float) -> str:
        """The active node, once every node is unsealed and in the cluster."""

        def look() -> str | None:
            addresses = self._nodes.addresses()
            statuses = {address: self._health(address) for address in addresses}
            active = [address for address, status in statuses.items() if status == _ACTIVE]
            ready = sum(status in {_ACTIVE, _STANDBY} for status in statuses.values())
            return active[0] if active and ready >= self._size else None

        return self._wait(look, until, f"{self._size} unsealed nodes, one of them active")

    def _set_up(self, address: str, record: Recovery, iam_roles: Mapping[str, str]) -> None:
        """Everything that needs the root token, then away with it."""
        root = self._client(address, StaticToken(record.root_token or ""))
        try:
            root.attempt(lambda client: client.auth.token.lookup_self())
        except Forbidden:  # revoked, but the record does not say so yet
            self._reconcile(address, iam_roles)
        else:
            root.attempt(_ensure_audit)
            root.attempt(self._ensure_autopilot)
            setup = self._setup(root)
            setup.reconcile(iam_roles=iam_roles)
            own = Caretaker.VAULT_BOOTSTRAP
            setup.bind(own, iam_roles[own], POLICIES_OF[own])
            self._reconcile(address, iam_roles)
            root.attempt(lambda client: client.auth.token.revoke_self())
        self._store.write(msgspec.structs.replace(record, root_token=None))
        _log.info("set up; the root token is revoked")

    def _reconcile(self, address: str, iam_roles: Mapping[str, str]) -> None:
        """With what every later deployment has: the own IAM role."""
        own = self._client(address, IamRole(Caretaker.VAULT_BOOTSTRAP))
        try:
            own.attempt(self._ensure_autopilot)
            own.attempt(_check_audit)
            # Its own login is the root token's to change: who could bind it anew would be whoever they like.
            others = {name: arn for name, arn in iam_roles.items() if name != Caretaker.VAULT_BOOTSTRAP}
            self._setup(own).reconcile(iam_roles=others)
        except Forbidden as error:
            raise BootstrapError(
                f"Vault refuses what the operator policy does not allow ({error}): apply the change with a root token "
                "(docs/security_architecture.md)"
            ) from error
        except Problem as problem:
            raise BootstrapError(f"cannot log in to Vault by IAM role: {problem}: {problem.__cause__!r}") from problem

    def _ensure_autopilot(self, client: hvac.Client) -> None:
        path = "/v1/sys/storage/raft/autopilot/configuration"
        standing = client.adapter.get(path)["data"]
        wanted = {**AUTOPILOT, "min_quorum": self._size}
        if any(standing.get(name) not in {value, f"{value}0s"} for name, value in wanted.items()):
            client.adapter.post(path, json=wanted)

    def _health(self, address: str) -> int:
        try:
            return int(self._node(address).sys.read_health_status(method="HEAD").status_code)
        except (RequestException, HvacError):
            return 0

    def _wait(self, look: Callable[[], T | None], until: float, what: str) -> T:
        """Look until there is something."""
        while True:
            try:
                found = look()
            except (RequestException, HvacError) as error:
                found, reason = None, f": {error!r}"
            else:
                reason = ""
            if found is not None:
                return found
            if time.monotonic() + _PAUSE_SECONDS > until:
                raise BootstrapError(f"waited in vain for {what}{reason}")
            self._pause(_PAUSE_SECONDS)

    def _node(self, address: str) -> hvac.Client:
        """A node itself, without token or retries."""
        return hvac.Client(url=address, token="", session=session(self._server_name), timeout=_TIMEOUTS)

    def _client(self, address: str, credentials: Credentials) -> VaultClient:
        return VaultClient(
            address=address, credentials=credentials, server_name=self._server_name, read_seconds=_READ_SECONDS
        )


_ACTIVE, _STANDBY = 200, 429
"""Statuses of ``sys/health``."""


def _ensure_audit(client: hvac.Client) -> None:
    standing = client.sys.list_enabled_audit_devices()["data"]
    for kind, options in AUDIT_DEVICES.items():
        if f"{kind}/" not in standing:
            client.sys.enable_audit_device(device_type=kind, path=kind, options=dict(options))


def _check_audit(client: hvac.Client) -> None:
    missing = [kind for kind in AUDIT_DEVICES if f"{kind}/" not in client.sys.list_enabled_audit_devices()["data"]]
    if missing:
        raise BootstrapError(f"audit devices are gone: {', '.join(missing)}; enable them with a root token")
