"""Proves signatures of version 4, for those whose word others take: Vault asks STS who signed a login, and a cache lets
in who signed its password.

Who asks the other services was started by the run; they believe the key that a signature names.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from local.iam.refusals import RefusedError
from local.iam.requests.request import Request

SKEW = timedelta(minutes=15)
"""How far a request's time may lie from ours, before or after."""
_SERVICE, _ALGORITHM, _TIME = "sts", "AWS4-HMAC-SHA256", "%Y%m%dT%H%M%SZ"
_AUTHORIZATION = re.compile(
    rf"{_ALGORITHM} +Credential=[^/,\s]+"
    r"/(?P<scope>(?P<day>\d{8})/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)/aws4_request)"
    r", *SignedHeaders=(?P<signed>[a-z0-9;-]+), *Signature=(?P<signature>[0-9a-f]{64})"
)
_ANOTHER = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
_HOST = re.compile(r"sts(?:\.([a-z0-9-]+))?\.amazonaws\.com")


def is_for_sts(request: Request) -> bool:
    """By the scope of the signature or, where that says otherwise, by the address."""
    return request.service == _SERVICE or _HOST.fullmatch(request.headers.get("host", "")) is not None


def prove(request: Request, secret: str) -> None:
    """Compute the signature of a request to STS anew.

    :raises RefusedError: it is another one, too old, not yet valid, or made for something else.
    """
    given = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if given is None:
        raise RefusedError.incomplete_signature(
            "Authorization header requires Credential, SignedHeaders and Signature."
        )
    names = given["signed"].split(";")
    if "host" not in names:
        raise RefusedError.wrong_signature("'Host' must be a 'SignedHeader' in the AWS Authorization.")
    if given["service"] != _SERVICE:
        raise RefusedError.wrong_signature(f"Credential should be scoped to correct service: '{_SERVICE}'.")
    named = _HOST.fullmatch(request.headers.get("host", ""))
    if named is not None and given["region"] != (named[1] or "us-east-1"):
        raise RefusedError.wrong_signature("Credential should be scoped to a valid region.")
    at = request.headers.get("x-amz-date", "")
    _check_time(at, day=given["day"])
    headers = "".join(f"{name}:{re.sub(' +', ' ', request.headers.get(name, '').strip())}\n" for name in names)
    # Nobody here signs a query: what is asked for stands in the form.
    parts = (request.method, quote(request.path, safe="/~"), "", headers, given["signed"])
    canonical = "\n".join((*parts, hashlib.sha256(request.body).hexdigest()))
    computed = _computed(canonical, secret=secret, scope=given["scope"], at=at)
    if request.query or not hmac.compare_digest(computed, given["signature"]):
        raise RefusedError.wrong_signature(_ANOTHER)


def prove_link(*, host: str, query: Mapping[str, str], secret: str, most: int) -> None:
    """Compute the signature of a link anew: a GET of the host's root, signed in its ``query``.

    :param most: seconds that it may be good for.
    :raises RefusedError: it is another one, has expired, is not yet valid, or is good for too long.
    """
    signed = dict(query)
    given, at = signed.pop("X-Amz-Signature", ""), signed.get("X-Amz-Date", "")
    scope, expires = signed.get("X-Amz-Credential", "").partition("/")[2], signed.get("X-Amz-Expires", "")
    if signed.get("X-Amz-Algorithm") != _ALGORITHM or signed.get("X-Amz-SignedHeaders") != "host":
        raise RefusedError.incomplete_signature("A link's signature covers its host, and nothing else here.")
    if not expires.isdecimal() or not 0 < int(expires) <= most:
        raise RefusedError.wrong_signature(f"X-Amz-Expires must be between 1 and {most} seconds.")
    _check_time(at, day=scope[:8], good_for=timedelta(seconds=int(expires)))
    named = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(signed.items()))
    canonical = "\n".join(("GET", "/", named, f"host:{host}\n", "host", hashlib.sha256(b"").hexdigest()))
    if not hmac.compare_digest(_computed(canonical, secret=secret, scope=scope, at=at), given):
        raise RefusedError.wrong_signature(_ANOTHER)


def _computed(canonical: str, *, secret: str, scope: str, at: str) -> str:
    digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in (*scope.split("/"), "\n".join((_ALGORITHM, at, scope, digest))):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


def _check_time(given: str, *, day: str, good_for: timedelta = SKEW) -> None:
    try:
        at = datetime.strptime(given, _TIME).replace(tzinfo=UTC)
    except ValueError:
        told = f"Date must be in ISO-8601 'basic format'. Got '{given}'."
        raise RefusedError.incomplete_signature(told) from None
    if not given.startswith(day):
        told = f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{day}'"
        raise RefusedError.wrong_signature(f"{told} != '{given[:8]}', from '{given}'.")
    now = datetime.now(UTC).replace(microsecond=0)
    if at < (bound := now - good_for):
        minutes = good_for.seconds // 60
        told = f"Signature expired: {given} is now earlier than {bound:{_TIME}} ({now:{_TIME}} - {minutes} min.)"
        raise RefusedError.wrong_signature(told)
    if at > (bound := now + SKEW):
        told = f"Signature not yet current: {given} is still later than {bound:{_TIME}} ({now:{_TIME}} + 15 min.)"
        raise RefusedError.wrong_signature(told)
