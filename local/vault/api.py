"""The vocabulary of the parts: requests, replies, errors, and routes below a mount."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local.vault.tokens import Token

MISSING_TOKEN = "permission denied"  # noqa: S105 - an error text
PERMISSION_DENIED = "1 error occurred:\n\t* permission denied\n\n"
INVALID_TOKEN = "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"  # noqa: S105 - an error text


class Operation(StrEnum):
    """What a request does; also the capability it needs. POST and PUT are *update*, or *create* where that differs."""

    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    DELETE = "delete"
    LIST = "list"
    PATCH = "patch"


class VaultError(Exception):
    """An error reply. ``body`` replaces the usual ``{"errors": […]}``."""

    def __init__(self, status: int, *errors: str, body: Mapping[str, Any] | None = None) -> None:
        super().__init__(*errors)
        self.status = status
        self.body = dict(body) if body is not None else {"errors": list(errors)}


def invalid(message: str) -> VaultError:
    """400."""
    return VaultError(400, message)


def failed(message: str) -> VaultError:
    """500, with the text of an error that Vault takes for its own."""
    return VaultError(500, f"1 error occurred:\n\t* {message}\n\n")


def denied(message: str = PERMISSION_DENIED) -> VaultError:
    """403."""
    return VaultError(403, message)


def absent() -> VaultError:
    """404: a read or list that finds nothing."""
    return VaultError(404)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request, below its mount."""

    operation: Operation
    path: str
    """Whole logical path, without ``/v1/``."""
    data: Mapping[str, Any]
    """JSON body, or the query of a read."""
    token: "Token | None" = None
    """None on public paths."""
    sender: str = ""
    """Its IP address."""
    params: Mapping[str, str] = field(default_factory=dict)
    """What the route's ``{placeholders}`` matched."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A successful reply; a handler that returns None answers 204."""

    data: Mapping[str, Any] | None = None
    auth: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    flat: bool = False
    """Repeat ``data`` at the top level, as most of ``sys/`` does."""
    raw: bool = False
    """``data`` is the whole body, without envelope."""
    status: int = 200


Handler = Callable[[Request], Reply | None]

_PLACEHOLDERS = {
    "name": r"\w(?:[\w.-]*\w)?",
    "path": r".+",
}


@dataclass(frozen=True, kw_only=True)
class Route:
    """A path below a mount. ``{x}`` is one name, ``{x:path}`` anything; UPDATE serves CREATE as well."""

    path: str
    operations: Mapping[Operation, Handler]
    public: bool = False
    """Answers without a token."""
    sudo: bool = False
    """Needs the capability ``sudo`` too."""
    exists: Callable[[Request], bool] | None = None
    """Tells *create* from *update* for POST and PUT; without it they are always *update*."""
    while_sealed: bool = False
    slow: bool = False
    """Waits for another system: runs outside the server's lock."""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The compiled path."""
        pieces = re.split(r"(\{\w+(?::path)?\})", self.path)
        return re.compile("".join(_placeholder(p) if p.startswith("{") else re.escape(p) for p in pieces))


def _placeholder(piece: str) -> str:
    name, _, kind = piece.strip("{}").partition(":")
    return f"(?P<{name}>{_PLACEHOLDERS[kind or 'name']})"


class Backend:
    """What serves a mount. Subclasses fill ``routes``."""

    type_name: str
    routes: tuple[Route, ...]
