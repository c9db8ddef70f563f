"""``anfl status``: what of a local run is there and answers."""

import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import psutil

from local.state import StateDirectory

_HEALTH = {"aws": "/_anfl/health", "vault": "/v1/sys/health", "gateway": "/_anfl/health"}
_SERVICE_HEALTH = "/health/ready"


def inspect(state: StateDirectory) -> dict[str, Any] | None:
    """The run that holds ``state`` and each of its programs; None where nothing runs."""
    holder = state.holder()
    if holder is None:
        return None
    document = state.published()
    programs = [] if document is None else [_program(document, *found) for found in _addresses(document)]
    return {
        "api": holder.api,
        "pid": holder.pid,
        "starting": document is None,
        "ready": document is not None and all(program["state"] == "serving" for program in programs),
        "programs": programs,
        "placeholders": [] if document is None else _placeholders(document["aws_endpoint"]),
    }


def _placeholders(endpoint: str) -> list[str]:
    """Types of deployed resources that nothing stands behind; none where the embedded AWS does not answer."""
    try:
        found: list[str] = httpx.get(f"{endpoint}/_anfl/placeholders", timeout=3, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return []
    return found


def _addresses(document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(program, base URL, health path)"""
    yield "aws", document["aws_endpoint"], _HEALTH["aws"]
    for region, addresses in document["regions"].items():
        suffix = "" if region == document["region"] else f"-{region}"
        yield f"vault{suffix}", addresses["vault"], _HEALTH["vault"]
        for name, url in addresses["services"].items():
            yield f"{name}{suffix}", url, _SERVICE_HEALTH
        yield f"gateway{suffix}", addresses["api"], _HEALTH["gateway"]


def _program(document: dict[str, Any], name: str, url: str, health: str) -> dict[str, Any]:
    pid = document["pids"].get(name)
    return {"program": name, "pid": pid, "address": url, "state": _state(pid, url + health, document.get("ca"))}


def _state(pid: int | None, health: str, ca: str | None) -> str:
    if pid is None or not psutil.pid_exists(pid):
        return "ended"
    try:
        verify = ssl.create_default_context(cafile=ca) if ca and health.startswith("https:") else True
        answer = httpx.get(health, timeout=3, trust_env=False, verify=verify)
    except (httpx.HTTPError, OSError):  # the authority's file may be gone
        return "silent"
    return "serving" if answer.is_success else f"answers {answer.status_code}"
