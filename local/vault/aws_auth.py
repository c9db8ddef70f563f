"""The AWS method: a signed GetCallerIdentity request, replayed to the configured STS, tells who logs in.

Roles are bound by ARN; unique ids are not resolved (that would need IAM), as with ``resolve_aws_unique_ids=false``.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import requests

from local.vault.api import Backend, Operation, Reply, Request, Route, absent, invalid
from local.vault.core import Core
from local.vault.fields import Data, boolean, strings, text
from local.vault.tokens import TokenParams

READ, UPDATE, LIST, DELETE = Operation.READ, Operation.UPDATE, Operation.LIST, Operation.DELETE
_SERVER_ID = "X-Vault-AWS-IAM-Server-ID"
_LEFT_OUT = frozenset({"content-length", "host", "transfer-encoding", "trailer"})
"""Go's client sends its own."""
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_TIMEOUT = (2, 10)
_CLIENT_FIELDS = (
    "access_key",
    "secret_key",
    "endpoint",
    "iam_endpoint",
    "sts_endpoint",
    "sts_region",
    "iam_server_id_header_value",
)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who STS says that signed."""

    arn: str
    user_id: str
    account: str

    @property
    def canonical_arn(self) -> str:
        """The role's ARN for an assumed role, else the ARN itself."""
        prefix, _, resource = self.arn.rpartition(":")
        kind, _, rest = resource.partition("/")
        if kind != "assumed-role":
            return self.arn
        partition = prefix.split(":")[1]
        return f"arn:{partition}:iam::{self.account}:role/{rest.split('/')[0]}"

    @property
    def friendly_name(self) -> str:
        """Name of the role or user."""
        return self.canonical_arn.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class _Role:
    bound_arns: tuple[str, ...]
    token: TokenParams
    fields: Mapping[str, Any]


class AwsBackend(Backend):
    """One AWS mount."""

    type_name = "aws"

    def __init__(self, core: Core, mount: str, *, sts_endpoint: str | None) -> None:
        """:param sts_endpoint: used where the configuration names none."""
        self._core = core
        self._mount = mount
        self._default_endpoint = sts_endpoint
        self._client: dict[str, Any] | None = None
        self._roles: dict[str, _Role] = {}
        self.routes = (
            Route(path="login", operations={UPDATE: self._login}, public=True, slow=True),
            Route(
                path="config/client",
                operations={READ: self._read_client, UPDATE: self._write_client, DELETE: self._delete_client},
                exists=lambda _request: self._client is not None,
            ),
            Route(path="role", operations={LIST: self._list}),
            Route(path="roles", operations={LIST: self._list}),
            Route(path="roles/", operations={LIST: self._list}),
            Route(
                path="role/{name}",
                operations={READ: self._read, UPDATE: self._write, DELETE: self._delete},
                exists=lambda request: request.params["name"].lower() in self._roles,
            ),
        )

    def _read_client(self, _request: Request) -> Reply:
        if self._client is None:
            raise absent()
        return Reply(data={name: value for name, value in self._client.items() if name != "secret_key"})

    def _write_client(self, request: Request) -> None:
        old = self._client or dict.fromkeys(_CLIENT_FIELDS, "")
        self._client = {name: text(request.data, name, old[name]) for name in _CLIENT_FIELDS} | {
            "max_retries": request.data.get("max_retries", -1)
        }

    def _delete_client(self, _request: Request) -> None:
        self._client = None

    def _list(self, _request: Request) -> Reply:
        if not self._roles:
            raise absent()
        return Reply(data={"keys": sorted(self._roles)})

    def _read(self, request: Request) -> Reply:
        role = self._roles.get(request.params["name"].lower())
        if role is None:
            raise absent()
        return Reply(data=role.fields)

    def _delete(self, request: Request) -> None:
        self._roles.pop(request.params["name"].lower(), None)

    def _write(self, request: Request) -> None:
        data = request.data
        kind = text(data, "auth_type", "iam")
        if kind != "iam":
            raise invalid(f"this development server knows roles of type 'iam' only, not {kind!r}")
        arns = strings(data, "bound_iam_principal_arn")
        if not arns:
            raise invalid("at least one bound parameter should be specified on the role")
        token = TokenParams.from_fields(data)
        self._roles[request.params["name"].lower()] = _Role(
            bound_arns=arns,
            token=token,
            fields={
                "auth_type": kind,
                "bound_iam_principal_arn": list(arns),
                "resolve_aws_unique_ids": boolean(data, "resolve_aws_unique_ids", default=True),
                **token.fields(),
            },
        )

    def _login(self, request: Request) -> Reply:
        with self._core.lock:
            client = dict(self._client or {})
        headers = _headers(request.data)
        _check_server_id(headers, client.get("iam_server_id_header_value", ""))
        caller = _ask_sts(request.data, headers, client.get("sts_endpoint") or self._default_endpoint)
        name = text(request.data, "role") or caller.friendly_name
        with self._core.lock:
            role = self._roles.get(name.lower())
        if role is None:
            raise invalid(f"entry for role {name} not found")
        if not any(_bound(arn, caller) for arn in role.bound_arns):
            raise invalid(f'IAM Principal "{caller.arn}" does not belong to the role "{name}"')
        return self._core.login(
            sender=request.sender,
            mount=self._mount,
            display_name=f"aws-{caller.friendly_name}",
            params=role.token,
            metadata={
                "client_arn": caller.arn,
                "canonical_arn": caller.canonical_arn,
                "client_user_id": caller.user_id.partition(":")[0],
                "auth_type": "iam",
                "account_id": caller.account,
                "role_id": name.lower(),
                "inferred_entity_type": "",
                "inferred_entity_id": "",
                "inferred_aws_region": "",
            },
        )


def _bound(arn: str, caller: Caller) -> bool:
    if arn.endswith("*"):
        return caller.arn.startswith(arn[:-1])
    return arn == caller.canonical_arn


def _decoded(data: Data, name: str) -> bytes:
    given = text(data, name)
    if not given:
        raise invalid(f"missing {name}")
    try:
        return base64.b64decode(given, validate=True)
    except ValueError as error:
        raise invalid(f"failed to base64 decode {name}: {error}") from error


def _headers(data: Data) -> dict[str, str]:
    """One value per header; names as signed."""
    try:
        found = json.loads(_decoded(data, "iam_request_headers"))
        return {str(n): str(v[0] if isinstance(v, list) else v) for n, v in found.items()}
    except (ValueError, AttributeError, IndexError) as error:
        raise invalid(f"error parsing iam_request_headers: {error}") from error


def _check_server_id(headers: Mapping[str, str], wanted: str) -> None:
    if not wanted:
        return
    lowered = {name.lower(): value for name, value in headers.items()}
    given = lowered.get(_SERVER_ID.lower())
    if given is None:
        reason = f'missing header "{_SERVER_ID}"'
    elif given != wanted:
        reason = f'expected "{wanted}" but got "{given}"'
    elif _SERVER_ID.lower() not in lowered.get("authorization", "").lower():
        reason = "vault header wasn't signed"
    else:
        return
    raise invalid(f"error validating {_SERVER_ID} header: {reason}")


def _ask_sts(data: Data, headers: Mapping[str, str], endpoint: str | None) -> Caller:
    """Replay the signed request to the configured endpoint, never to an address that the client chose.

    The client's is what it signed as ``Host``, so it is told to STS; a header of that name is not looked at, as by Go.
    """
    if text(data, "iam_http_request_method") != "POST":
        raise invalid("invalid iam_http_request_method; currently only 'POST' is supported")
    url = urlsplit(_decoded(data, "iam_request_url").decode(errors="replace"))
    body = _decoded(data, "iam_request_body")
    form = parse_qs(body.decode(errors="replace"))
    if form.get("Action") != ["GetCallerIdentity"] or form.keys() - {"Action", "Version"} or url.query:
        raise invalid("iam_request_body must be a GetCallerIdentity request and nothing else")
    if endpoint is None or urlsplit(endpoint).hostname not in _LOOPBACK:
        raise invalid("set sts_endpoint to a loopback address: this development server asks no other")
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.post(
                f"{endpoint.rstrip('/')}/",
                data=body,
                headers={name: value for name, value in headers.items() if name.lower() not in _LEFT_OUT}
                | {"Host": url.netloc},
                timeout=_TIMEOUT,
                allow_redirects=False,
            )
        except (requests.RequestException, ValueError) as error:  # also for a header that cannot be sent
            raise invalid(f"error making upstream request: {error}") from error
    if answer.status_code != 200:
        raise invalid(
            f"error making upstream request: received error code {answer.status_code} from STS: {answer.text}"
        )
    return _parse(answer.text)


def _parse(answer: str) -> Caller:
    try:
        root = ElementTree.fromstring(answer)  # noqa: S314 - the embedded AWS on loopback wrote it
        found = {element.tag.rpartition("}")[2]: element.text or "" for element in root.iter()}
        return Caller(arn=found["Arn"], user_id=found["UserId"], account=found["Account"])
    except (ElementTree.ParseError, KeyError) as error:
        raise invalid(f"error making upstream request: error parsing STS response: {error}") from error
