"""Makes requests: a route's own, turned until it may be read in several ways."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from anfl.auth.principal import Role
from anfl.auth.rbac import PUBLIC_ROUTES, ROUTES
from anfl.resources import STAGE

Header = tuple[str, str]
Turn = Callable[[random.Random, str], str]
OPEN = frozenset({("GET", "/health/live"), ("GET", "/health/ready"), ("GET", "/metrics"), *PUBLIC_ROUTES})
"""What answers without a token."""
_LINES = [(route.method, route.path) for route in ROUTES] + sorted(OPEN)
_REVOKES = "/v1/auth/revoke"
"""Never with a good token: those that come after it would be refused for nothing."""
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "Get", "PROPFIND", "X" * 40)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One request."""

    role: Role | None
    """Whose token it carries; None: none, or no good one."""
    method: str
    target: str
    headers: tuple[Header, ...]
    body: bytes = b""

    def raw(self) -> bytes:
        """As it is sent."""
        head = "\r\n".join([*(f"{name}: {value}" for name, value in self.headers), "", ""])
        return f"{self.method} {self.target} HTTP/1.1\r\n".encode() + head.encode("latin-1") + self.body

    @property
    def path(self) -> str:
        """What the target means, decoded once, without the stage and a last slash."""
        path = re.sub(r"^https?://[^/?]*", "", self.target, flags=re.IGNORECASE).partition("?")[0].partition("#")[0]
        path = unquote(path)
        return path.removeprefix(f"/{STAGE}") if path.startswith(f"/{STAGE}/") else path


def any_attempt(chance: random.Random, *, tokens: Mapping[Role, str], names: Sequence[str]) -> Attempt:
    """:param tokens: of roles that cannot harm what is there. :param names: of what is there."""
    method, path = chance.choice(_LINES)
    role = None if path == _REVOKES else chance.choice([None, *tokens])
    path = re.sub(r"\{\w+\+?\}", lambda _: chance.choice([*names, "x", "..", "%2e%2e", "a%2Fb"]), path)
    for _ in range(chance.randrange(4)):
        path = chance.choice(_TURNS)(chance, path)
    if chance.random() < 0.2:
        method = chance.choice(_METHODS)
    headers = [("Host", "127.0.0.1"), ("Connection", "close"), *_authorization(chance, role, tokens)]
    for _ in range(chance.randrange(3)):
        headers.insert(chance.randrange(len(headers) + 1), chance.choice(_HEADERS)(chance))
    body = chance.choice([b"", b"", b"{}", b"[]", b'{"name": "x"}', bytes(100)])
    if body:
        headers.append(("Content-Length", str(len(body))))
        headers.append(("Content-Type", "application/json"))
    return Attempt(role=role, method=method, target=path, headers=tuple(headers), body=body)


def _authorization(chance: random.Random, role: Role | None, tokens: Mapping[Role, str]) -> list[Header]:
    if role is not None:
        return [("Authorization", f"Bearer {tokens[role]}")]
    any_good = chance.choice(list(tokens.values()))
    return chance.choice(
        [
            [],
            [("Authorization", "")],
            [("Authorization", "Bearer ")],
            [("Authorization", "Basic YTpi")],
            [("Authorization", f"Bearer {any_good[:-3]}AAA")],
            [("Authorization", f"Bearer {any_good}x")],
            [("Authorization", any_good)],
            [("Authorization", f"Bearer  {any_good}")],
            [("Authorization", f"Bearer\t{any_good}")],
            [("Authorization", f"BEARER {any_good}")],
            [("Authorization", f"Bearer {any_good}"), ("Authorization", "Bearer a.b.c")],
            [("Authorization", "Bearer a.b.c"), ("authorization", f"Bearer {any_good}")],
            [("X-Authorization", f"Bearer {any_good}")],
            [("Cookie", f"Authorization=Bearer {any_good}")],
        ]
    )


def _percent(chance: random.Random, path: str) -> str:
    place = chance.randrange(1, len(path)) if len(path) > 1 else 0
    return f"{path[:place]}%{ord(path[place]) & 0xFF:02{chance.choice('xX')}}{path[place + 1 :]}"


def _inserted(*pieces: str) -> Turn:
    def insert(chance: random.Random, path: str) -> str:
        slashes = [place for place, char in enumerate(path) if char == "/"] + [len(path)]
        place = chance.choice(slashes)
        return path[:place] + chance.choice(pieces) + path[place:]

    return insert


_TURNS: tuple[Turn, ...] = (
    _percent,
    lambda _, path: quote(path),
    lambda _, path: path.replace("%", "%25") if "%" in path else path.replace("/", "%252F", 2),
    lambda _, path: path.replace("/", "%2F", 2),
    lambda _, path: path.replace("/", "\\", 1),
    lambda _, path: path.upper(),
    lambda _, path: path.title(),
    lambda _, path: f"{path}/",
    lambda _, path: f"{path}.",
    lambda _, path: f"{path}%20",
    lambda _, path: f"{path}.json",
    lambda _, path: f"/{STAGE}{path}",
    lambda _, path: f"//{path.lstrip('/')}",
    lambda _, path: f"/v1/openapi.json/..{path}",
    lambda _, path: f"/v1/auth/jwks.json;{path}",
    lambda _, path: f"/health/live/%2e%2e/%2e%2e{path}",
    lambda _, path: f"/_anfl/health/..{path}",
    lambda chance, path: f"http://{chance.choice(['127.0.0.1', 'evil.example.test', 'user@host:1'])}{path}",
    lambda _, path: f"{path}?_method=DELETE&method=PUT",
    lambda _, path: f"{path}?{'a=1&' * 40}",
    lambda _, path: f"{path}#/v1/openapi.json",
    lambda _, path: path + "x" * 2000,
    _inserted(
        "/", "/.", "/..", "/%2e", "/%2e%2e", "/%252e%252e", ";x=1", "%00", "%0a", "%0d%0aX-A:1", "\x7f", "é", "．．"
    ),
)


def _named(*names: str, values: Sequence[str]) -> Callable[[random.Random], Header]:
    return lambda chance: (chance.choice(names), chance.choice(values))


_HEADERS: tuple[Callable[[random.Random], Header], ...] = (
    _named("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", values=("GET", "DELETE", "OPTIONS")),
    _named("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", values=("/v1/openapi.json", "/health/live", "/")),
    _named("X-Anfl-Hop", "x-anfl-hop", values=("10.0.0.1:8000", "", "127.0.0.1:1, x")),
    _named("X-Anfl-Host", "X-Anfl-Path", "X-Anfl-Tenant", values=("evil.example.test", "//evil", "\x01", "demo")),
    _named("X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Forwarded", values=("127.0.0.1", "for=127.0.0.1", "é")),
    _named("X-User", "X-Subject", "X-Roles", "X-Amzn-Oidc-Data", "X-Tenant", values=("admin", "demo", "root")),
    _named("Host", values=("evil.example.test", "", "a, b")),
    _named("Connection", values=("close, Authorization", "keep-alive", "Upgrade")),
    _named("Transfer-Encoding", values=("chunked", "identity", "chunked, chunked", " chunked", "xchunked")),
    _named("Content-Length", values=("0", "-1", "1e3", "+2", "0x2", "99999999999999999999")),
    _named("Content-Encoding", values=("gzip", "br", "identity, gzip", "é")),
    _named("X-Request-Id", values=("é", "a" * 300, "a b", "${jndi:ldap://x}")),
    _named("Upgrade", "Expect", "Range", "Accept", "Origin", "If-Match", values=("100-continue", "h2c", "*/*", "null")),
    _named("X-Long", values=("x" * 20_000,)),
    _named(" X-Blank", "X Y", "X:Y", "", values=("1",)),
)
