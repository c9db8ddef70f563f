"""What a cluster is told and a single development server only remembers: audit devices, Raft's autopilot.

Nothing is audited here and no node is ever forgotten; but the set-up of a deployed Vault
can be run against it all the same.
"""

from typing import Any

from local.vault.api import Operation, Reply, Request, Route, invalid
from local.vault.fields import boolean, mapping, text

READ, UPDATE, DELETE = Operation.READ, Operation.UPDATE, Operation.DELETE
_KINDS = frozenset({"file", "socket", "syslog"})
_AUTOPILOT = {
    "cleanup_dead_servers": False,
    "dead_server_last_contact_threshold": "24h0m0s",
    "last_contact_threshold": "10s",
    "max_trailing_logs": 1000,
    "min_quorum": 0,
    "server_stabilization_time": "10s",
}


class _Cluster:
    def __init__(self) -> None:
        self._audit: dict[str, dict[str, Any]] = {}
        self._autopilot: dict[str, Any] = dict(_AUTOPILOT)

    def list_audit(self, _request: Request) -> Reply:
        return Reply(data=self._audit, flat=True)

    def enable_audit(self, request: Request) -> None:
        path, kind = f"{request.params['path'].strip('/')}/", text(request.data, "type")
        if kind not in _KINDS:
            raise invalid(f'unknown backend type: "{kind}"')
        if path in self._audit:
            raise invalid("path already in use")
        self._audit[path] = {
            "type": kind,
            "path": path,
            "description": text(request.data, "description"),
            "options": dict(mapping(request.data, "options")),
            "local": boolean(request.data, "local"),
        }

    def disable_audit(self, request: Request) -> None:
        self._audit.pop(f"{request.params['path'].strip('/')}/", None)

    def read_autopilot(self, _request: Request) -> Reply:
        return Reply(data=self._autopilot)

    def write_autopilot(self, request: Request) -> None:
        self._autopilot |= {name: value for name, value in request.data.items() if name in _AUTOPILOT}


def cluster_routes() -> tuple[Route, ...]:
    """Routes below ``sys/``, with what one server remembers."""
    cluster = _Cluster()
    return (
        Route(path="audit", operations={READ: cluster.list_audit}, sudo=True),
        Route(
            path="audit/{path:path}",
            operations={UPDATE: cluster.enable_audit, DELETE: cluster.disable_audit},
            sudo=True,
        ),
        Route(
            path="storage/raft/autopilot/configuration",
            operations={READ: cluster.read_autopilot, UPDATE: cluster.write_autopilot},
        ),
    )
