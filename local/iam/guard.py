"""Stands before the embedded AWS: nobody gets past who may not do what is asked for."""

import io
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from local import browsers
from local.iam import cache_logins, callers, deployed, requests, signatures
from local.iam.callers import Caller, Credential
from local.iam.calls import Call
from local.iam.decisions import Policies, Verdict, decide
from local.iam.errors import UnknownRequestError, UnsupportedError
from local.iam.ledger import Entry, Ledger
from local.iam.refusals import RefusedError, answer
from local.iam.requests import queues
from local.iam.requests.request import Request, whole

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
GRANTS = "/_anfl/grants"
_CONTROL = "/_anfl/"
_log = logging.getLogger(__name__)


class Guard:
    """WSGI. Safe for threads."""

    def __init__(self, application: Application, *, ledger: Ledger) -> None:
        """:param ledger: is told of everything that roles do."""
        self._application = application
        self._ledger = ledger

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request, or refuse it."""
        if browsers.sends(lambda name: environ.get(f"HTTP_{name.upper().replace('-', '_')}")):
            return _refused(RefusedError.of_a_page(), callers.credential(environ), environ, start_response)
        path = environ.get("PATH_INFO", "")
        if path == GRANTS:
            return _tell_grants(start_response)
        if path == cache_logins.PATH:
            return self._let_in(environ, start_response)
        if path.startswith(_CONTROL):
            return self._application(environ, start_response)
        signed = callers.credential(environ)
        try:
            caller = callers.caller(signed)
            if signed is not None and (caller is not None or signed.service == "sts"):
                request = _request(environ, service=signed.service, region=signed.region)
                if signatures.is_for_sts(request):
                    signatures.prove(request, callers.secret(signed.key))
                if caller is not None:
                    self._check(caller, request)
        except RefusedError as error:
            return _refused(error, signed, environ, start_response)
        return self._application(environ, start_response)

    def may_poll(self, role: str, region: str, queue: str) -> bool:
        """Whether Lambda may fetch a queue's messages for a function with ``role``."""
        try:
            for operation in queues.POLLED:
                self._check_calls(callers.of_function(role), queues.of(operation, region, queue))
        except RefusedError as error:
            _log.warning("messages of %s are not fetched: %s", queue, error.message)
            return False
        return True

    def _let_in(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Whether somebody may enter a cache."""
        content = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        login = msgspec.json.decode(content, type=cache_logins.Login)
        try:
            caller = cache_logins.caller(login)
            if caller is not None:
                self._check_calls(caller, cache_logins.needed(login))
        except RefusedError as error:
            _log.warning("%s may not enter %s: %s", login.user, login.group, error.message)
            start_response("403 Forbidden", [("Content-Length", "0")])
            return []
        start_response("200 OK", [("Content-Length", "0")])
        return []

    def _check(self, caller: Caller, request: Request) -> None:
        try:
            if any(statement.unlimited for statement in deployed.policies(caller.principal.role, "").identity):
                return  # the roles with which the CDK deploys; what they ask for is in no table
            needed = requests.calls(request)
        except (UnknownRequestError, UnsupportedError) as error:
            self._refuse(caller, request.service, "?", f"the embedded AWS cannot tell: {error}")
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            self._refuse(caller, request.service, "?", f"the request cannot be read: {error!r}")
        self._check_calls(caller, needed)

    def _check_calls(self, caller: Caller, needed: Iterable[Call]) -> None:
        role = caller.principal.role.rpartition("/")[2]
        for call in needed:
            try:
                policies = deployed.policies(caller.principal.role, call.resource)
                verdict = _decide(call.within(caller.context), caller, policies)
            except UnsupportedError as error:
                verdict = Verdict(refused=f"because the embedded AWS does not understand a policy: {error}")
            if verdict.refused is not None:
                self._refuse(caller, call.action, call.resource, verdict.refused)
            for by in verdict.by:
                used = Entry(
                    outcome="used",
                    role=role,
                    action=call.action,
                    resource=call.resource,
                    sid=by.sid,
                    granted=by.action,
                    on=by.resource,
                )
                self._ledger.note(used)

    def _refuse(self, caller: Caller, action: str, resource: str, why: str) -> None:
        role = caller.principal.role.rpartition("/")[2]
        self._ledger.note(Entry(outcome="refused", role=role, action=action, resource=resource, why=why))
        said = f"User: {caller.principal.session} is not authorized to perform: {action} on resource: {resource} {why}"
        raise RefusedError.denied(said)


@lru_cache(maxsize=8192)
def _decide(call: Call, caller: Caller, policies: Policies) -> Verdict:
    return decide(call, caller.principal, policies)


def _request(environ: Environ, *, service: str, region: str) -> Request:
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    method = environ["REQUEST_METHOD"]
    body = b""
    if whole(service, method, query):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        if len(body) < length:  # its sender was killed, perhaps
            raise RefusedError.cut_off()
        environ["wsgi.input"] = io.BytesIO(body)
    return Request(
        service=service,
        region=region,
        method=method,
        path=environ.get("PATH_INFO", "").encode("latin-1").decode(),
        query=query,
        headers=_headers(environ),
        body=body,
    )


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    found = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    return found | {
        name: environ.get(name.replace("-", "_").upper(), "") for name in ("content-type", "content-length")
    }


def _refused(
    error: RefusedError, signed: Credential | None, environ: Environ, start_response: Callable[..., Any]
) -> list[bytes]:
    said = answer(error, service=signed.service if signed else "", headers=_headers(environ))
    start_response(said.status, said.headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [said.body]


def _tell_grants(start_response: Callable[..., Any]) -> list[bytes]:
    told = [[grant.role, grant.sid, grant.action, grant.resource] for grant in deployed.grants()]
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
