"""A small typed client of Vault: logins, signatures, public keys. Time-outs and retries are bounded."""

import base64
import itertools
import logging
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

import hvac
import msgspec
import requests
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, UnexpectedError, VaultError
from requests.adapters import HTTPAdapter

from anfl import elapsed
from anfl.auth import identity_request
from anfl.auth.breaker import Breaker, Deadline
from anfl.auth.signed_headers import sendable
from anfl.problems import Problem, unavailable

T = TypeVar("T")
_deadline: ContextVar[Deadline | None] = ContextVar("deadline", default=None)
_STS_AWAY = re.compile(r"error making upstream request(?!.*received error code 4)", re.DOTALL)
_STS_ANSWER = re.compile(r"(?<=from STS): .*?(<Code>\w+</Code>|$).*", re.DOTALL)
_WRONG_CREDENTIALS = re.compile(r"invalid (role|secret)", re.IGNORECASE)
_log = logging.getLogger(__name__)

_CONNECTIONS = 32
_CONNECT_SECONDS = 0.5
_READ_SECONDS = 1.3
"""With the time to connect less than two seconds: so soon is an outage told, retries included (`Deadline`)."""
_HEALTH = "/v1/sys/health?standbyok=true&perfstandbyok=true"
_IAM_READ_SECONDS = 5.0
"""Vault itself asks STS during a login by IAM role; whether there is a Vault is found out before, in less."""
_ATTEMPTS = 3
_RETRY_WITHIN_SECONDS = 1.0
"""No attempt starts later than this."""
_RENEW_AT = 2 / 3
"""Fraction of a token's life after which it is renewed."""


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """What Vault says about a successful login."""

    token: str
    lifetime: int
    """Seconds."""
    renewable: bool
    metadata: Mapping[str, str]
    policies: tuple[str, ...] = ()


class Credentials(Protocol):
    """A way to get a Vault token for this process."""

    def login(self, vault: "VaultClient") -> Login:
        """Log in."""


class StaticToken:
    """A token that somebody gave: an operator's, or root while a Vault is set up."""

    def __init__(self, token: str) -> None:
        self._token = token

    def login(self, vault: "VaultClient") -> Login:  # noqa: ARG002 - one interface
        """Nothing to do."""
        return Login(token=self._token, lifetime=0, renewable=False, metadata={})


class IamRole:
    """The IAM role of this function or service, proven by a signed GetCallerIdentity request."""

    def __init__(self, role: str) -> None:
        """:param role: name of the role in Vault's aws mount, which is the function's or service's own name.

        :raises MissingSettingError: the process was not told which environment it belongs to.
        """
        self._role = role
        self._environment = identity_request.own_environment()

    def login(self, vault: "VaultClient") -> Login:
        """Log in with the process's AWS credentials."""
        return vault.login_iam(self._role, self._environment)


class _Bounded(HTTPAdapter):
    """Lets no attempt outlast what is left of its call."""

    def send(self, request: Any, **options: Any) -> Any:  # type: ignore[override]  # noqa: ANN401 - as the base class
        """As the base class."""
        if (deadline := _deadline.get()) is not None:
            options["timeout"] = deadline.shorten(options["timeout"])
        return super().send(request, **options)


class _Tls13(_Bounded):
    """HTTPS by TLS 1.3 alone, if need be to a server that answers under another name than its address."""

    def __init__(self, server_name: str | None) -> None:
        self._server_name = server_name
        super().__init__(pool_maxsize=_CONNECTIONS)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as the base class has it
        """As the base class, and stricter."""
        named = {"server_hostname": self._server_name, "assert_hostname": self._server_name}
        options |= {"ssl_minimum_version": ssl.TLSVersion.TLSv1_3} | (named if self._server_name else {})
        super().init_poolmanager(*args, **options)


def session(server_name: str | None = None) -> requests.Session:
    """How Vault is called.

    :param server_name: whom the certificate must name, where that is not the host of the address.
    """
    made = requests.Session()
    made.trust_env = False  # no proxy stands between this process and its Vault
    made.mount("http://", _Bounded(pool_maxsize=_CONNECTIONS))
    made.mount("https://", _Tls13(server_name))
    return made


class VaultClient:
    """One Vault. Safe for threads."""

    def __init__(
        self,
        *,
        address: str,
        credentials: Credentials | None = None,
        server_name: str | None = None,
        read_seconds: float = _READ_SECONDS,
    ) -> None:
        """:param credentials: None for a client that only logs others in.
        :param server_name: whom the certificate must name, where that is not the host of ``address``.
        """
        self._hvac = hvac.Client(
            url=address, token="", session=session(server_name), timeout=(_CONNECT_SECONDS, read_seconds)
        )
        self._credentials = credentials
        self._read_seconds = read_seconds
        self._breaker = Breaker()
        self._lock = threading.Lock()
        self._login: Login | None = None
        self._renew_at = float("inf")

    # logins: none of them needs, or changes, this process's own token

    def login_approle(self, *, role_id: str, secret_id: str) -> Login:
        """Log a client in.

        :raises Problem: 401 ``invalid_credentials``; 503 ``vault_unavailable``.
        """
        try:
            return self._log_in("approle", {"role_id": role_id, "secret_id": secret_id})
        except InvalidRequest as error:
            if not _WRONG_CREDENTIALS.search(str(error)):
                raise _misconfigured(error) from error
            detail = "role_id or secret_id is wrong, used up or expired"
            raise Problem(HTTPStatus.UNAUTHORIZED, "invalid_credentials", detail) from None

    def login_jwt(self, *, role: str, token: str) -> Login:
        """Present a bearer token.

        :raises Problem: 401 ``token_refused``; 503 ``vault_unavailable``.
        """
        try:
            return self._log_in("jwt", {"role": role, "jwt": token})
        except InvalidRequest as error:
            if "could not load configuration" in str(error) or "could not be found" in str(error):
                raise _misconfigured(error) from error
            detail = "the token is not accepted; get a new one"
            raise Problem(HTTPStatus.UNAUTHORIZED, "token_refused", detail) from None

    def login_iam(self, role: str, environment: str) -> Login:
        """Log this process in by the IAM role it runs under, to the Vault of ``environment``.

        :raises Problem: 503 ``vault_unavailable``, also where Vault does not know the role.
        """
        try:
            return self._log_in_by_iam({"role": role, **identity_request.signed(environment)})
        except InvalidRequest as error:
            if identity_request.ADDRESSEE not in str(error):
                raise _misconfigured(error) from error
        try:  # Vault's set-up is that of the release before: nodes and the bootstrap come to it so
            return self._log_in_by_iam({"role": role, **identity_request.former()})
        except InvalidRequest as error:
            raise _misconfigured(error) from error

    def login_client_iam(self, *, role: str, request: Mapping[str, str]) -> Login:
        """Log a client in by an IAM role that a signed ``request`` proves (`anfl.auth.identity_request.signed`).

        :raises Problem: 401 ``invalid_credentials``; 503 ``vault_unavailable``.
        """
        if not sendable(request["iam_request_headers"]):
            raise _no_proof()
        try:
            return self._log_in_by_iam({"role": role, **request})
        except InvalidRequest as error:
            if _STS_AWAY.search(str(error)):
                raise _misconfigured(error) from error
            _log.info("client's IAM login refused", extra={"role": role, "error": _loggable(error)})
            raise _no_proof() from None

    def _log_in_by_iam(self, body: Mapping[str, str]) -> Login:
        self._call(lambda: self._hvac.adapter.get(_HEALTH))
        return self._log_in("aws", body, seconds=_IAM_READ_SECONDS)

    def _log_in(self, mount: str, body: Mapping[str, str], *, seconds: float | None = None) -> Login:
        seconds = self._read_seconds if seconds is None else seconds

        def call() -> Mapping[str, Any]:
            answer: Mapping[str, Any] = self._hvac.adapter.post(
                f"/v1/auth/{mount}/login", json=dict(body), timeout=(_CONNECT_SECONDS, seconds)
            )
            return answer

        try:
            return _login_of(self._call(call, seconds=seconds))
        except (Forbidden, InvalidPath, UnexpectedError) as error:  # the mount is not there
            raise _misconfigured(error) from error

    # transit

    def sign_jws(self, *, key: str, version: int, signing_input: bytes) -> str:
        """The signature part of a JWS (ES256), base64url.

        :raises Problem: 503 ``vault_unavailable``.
        """
        answer = self.operate(
            lambda client: client.secrets.transit.sign_data(
                name=key,
                key_version=version,
                hash_input=base64.b64encode(signing_input).decode(),
                hash_algorithm="sha2-256",
                marshaling_algorithm="jws",
            )
        )
        return str(answer["data"]["signature"]).rpartition(":")[2]

    def public_keys(self, key: str) -> dict[int, str]:
        """PEM public keys by version, of versions that may still verify.

        :raises Problem: 503 ``vault_unavailable``.
        """
        answer = self.operate(lambda client: client.secrets.transit.read_key(name=key))
        return {int(version): shown["public_key"] for version, shown in answer["data"]["keys"].items()}

    # anything, with this process's own token

    def operate(self, call: Callable[[hvac.Client], T]) -> T:
        """Run ``call`` with a token of this process; retried, and once more after a new login if it is refused.

        :raises Problem: 503 ``vault_unavailable`` for an outage, a refusal or a request that Vault finds wrong.
        """
        try:
            return self._with_token(call)
        except (Forbidden, InvalidRequest, InvalidPath, UnexpectedError) as error:
            raise _misconfigured(error) from error

    def attempt(self, call: Callable[[hvac.Client], T]) -> T:
        """As `operate`, but Vault's refusals come as hvac's exceptions, for callers that tell them apart."""
        return self._with_token(call)

    def _with_token(self, call: Callable[[hvac.Client], T]) -> T:
        self._ensure_token()
        try:
            return self._call(lambda: call(self._hvac))
        except Forbidden:
            if isinstance(self._credentials, StaticToken):
                raise
            self._ensure_token(fresh=True)
            return self._call(lambda: call(self._hvac))

    def _ensure_token(self, *, fresh: bool = False) -> None:
        if self._credentials is None:
            raise ValueError("this client has no credentials of its own")
        with self._lock:
            now = elapsed.seconds()
            if self._login is not None and not fresh and now < self._renew_at:
                return
            login = (None if fresh else self._renewed()) or self._credentials.login(self)
            self._hvac.token = login.token
            self._login = login
            self._renew_at = now + login.lifetime * _RENEW_AT if login.lifetime else float("inf")

    def _renewed(self) -> Login | None:
        """The same token for longer; None where logging in anew is the better way."""
        if self._login is None or not self._login.renewable:
            return None
        try:
            renewed = _login_of(self._call(self._hvac.auth.token.renew_self))
        except VaultError:
            return None
        return renewed if renewed.lifetime >= self._login.lifetime else None

    def _call(self, call: Callable[[], T], *, seconds: float | None = None) -> T:
        """Retry what an outage may explain; everything else passes."""
        if not self._breaker.lets_pass():
            raise _outage()
        deadline = Deadline(_CONNECT_SECONDS + (self._read_seconds if seconds is None else seconds))
        outer = _deadline.set(deadline)
        try:
            answer = self._attempts(call, deadline)
        except (Forbidden, InvalidRequest, InvalidPath, UnexpectedError):
            self._breaker.answered()
            raise
        except (requests.RequestException, VaultError) as error:
            self._breaker.failed()
            raise _outage() from error
        finally:
            _deadline.reset(outer)
        self._breaker.answered()
        return answer

    @staticmethod
    def _attempts(call: Callable[[], T], deadline: Deadline) -> T:
        for attempt in itertools.count(1):
            try:
                return call()
            except (Forbidden, InvalidRequest, InvalidPath, UnexpectedError):
                raise
            except (requests.RequestException, VaultError):
                pause = random.uniform(0.02, 0.1) * 2**attempt  # noqa: S311 - jitter, no secret
                if attempt == _ATTEMPTS or deadline.passed() + pause > _RETRY_WITHIN_SECONDS:
                    raise
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")


def _login_of(answer: Mapping[str, Any]) -> Login:
    auth = answer["auth"]
    return Login(
        token=auth["client_token"],
        lifetime=auth["lease_duration"],
        renewable=auth["renewable"],
        metadata=auth["metadata"] or {},
        policies=tuple(auth["policies"] or ()),
    )


def _outage() -> Problem:
    return unavailable("Vault does not answer; try again", code="vault_unavailable")


def _no_proof() -> Problem:
    detail = "the signed request proves no IAM role of this client, is too old, or is for another region"
    return Problem(HTTPStatus.UNAUTHORIZED, "invalid_credentials", detail)


def _misconfigured(error: Exception) -> Problem:
    """Vault answers, but is not (yet) set up for this: an outage for the caller, whose cause is for the log alone."""
    _log.error("Vault refuses this process; reconcile its set-up", extra={"error": _loggable(error)})
    return unavailable("Vault is not ready for this request; try again", code="vault_unavailable")


def _loggable(error: Exception) -> str:
    """Without what STS answered but for its code: it may repeat the request, with its session token."""
    return _STS_ANSWER.sub(r" \1", str(error))
