"""The region's Valkey, which holds nothing but what may be lost: who cannot reach it does without.

Entered as an IAM identity: the password is a request that AWS's signature makes good for fifteen minutes
(https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html).
"""

import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlencode

import boto3
import msgspec
import valkey
from botocore.exceptions import BotoCoreError, NoCredentialsError
from botocore.model import ServiceId
from botocore.signers import RequestSigner
from valkey.backoff import NoBackoff
from valkey.credentials import CredentialProvider
from valkey.exceptions import ValkeyError
from valkey.retry import Retry

from anfl import elapsed

TIMEOUT_SECONDS = 0.2
"""To connect, and for each answer: longer than any that is worth waiting for."""
PAUSE_SECONDS = 5.0
"""After a failure nobody asks: what is slow must not slow every request."""
_TOKEN_SECONDS = 900
_BUCKETS = "throttle:"
"""Before the keys of buckets; no user of the cache but one may touch them."""
_SPEND = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local token, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local left = {}
for place, key in ipairs(KEYS) do
  local spent = tonumber(ARGV[place + 2])
  local full = tonumber(redis.call('GET', key) or '0') or 0
  if not (full >= now) then full = now end
  full = math.min(full + spent * token, now + most)
  if spent > 0 then
    redis.call('SET', key, string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1)
  end
  left[place] = math.ceil(full - now)
end
return left
"""
"""Each key holds when its bucket is full again, by the cache's own clock; all numbers are microseconds, or tokens."""
_DIGITS = 18
"""Of the largest numbers, so that they fit 64 bits."""
_MICRO = 1_000_000
_log = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """A function's or service's environment; nothing of it where there is no cache."""

    host: str | None = msgspec.field(default=None, name="CACHE_HOST")
    port: int = msgspec.field(default=6379, name="CACHE_PORT")
    name: str = msgspec.field(default="", name="CACHE_NAME")
    user: str = msgspec.field(default="", name="CACHE_USER")
    throttle_user: str = msgspec.field(default="", name="CACHE_THROTTLE_USER")
    """Whose keys are buckets alone; empty where nobody is throttled."""


class IamLogin(CredentialProvider):
    """A new password for each connection."""

    def __init__(self, *, name: str, user: str, session: boto3.session.Session) -> None:
        """:param name: of the replication group. :param user: of the cache, as whom to connect."""
        self._name = name
        self._user = user
        self._session = session

    def get_credentials(self) -> tuple[str, str]:
        """User and password.

        :raises BotoCoreError: there are no credentials to sign with.
        """
        credentials = self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        region = self._session.region_name
        events = self._session.events
        signer = RequestSigner(ServiceId("elasticache"), region, "elasticache", "v4", credentials, events)
        request = {
            "method": "GET",
            "url": f"https://{self._name}/?{urlencode({'Action': 'connect', 'User': self._user})}",
            "body": {},
            "headers": {},
            "context": {},
        }
        url = signer.generate_presigned_url(
            request, operation_name="connect", expires_in=_TOKEN_SECONDS, region_name=region
        )
        return self._user, url.removeprefix("https://")


class _Asked:
    """Commands to a cache that may be slow or gone. Safe for threads; no method raises."""

    def __init__(self, client: "valkey.Valkey", *, clock: Callable[[], float] = elapsed.seconds) -> None:
        self._client = client
        self._clock = clock
        self._silent_until = float("-inf")

    def _ask(self, command: Callable[[], object]) -> object:
        if self._clock() < self._silent_until:
            return None
        try:
            return self._twice(command)
        except (ValkeyError, OSError, BotoCoreError) as error:
            self._silent_until = self._clock() + PAUSE_SECONDS
            _log.warning("cache does not answer", extra={"error": f"{type(error).__name__}: {error}"})
            return None

    @staticmethod
    def _twice(command: Callable[[], object]) -> object:
        """A connection can have ended while the function was frozen; the next one is new. No wait is repeated."""
        try:
            return command()
        except valkey.exceptions.ConnectionError:
            return command()


class SharedMarks(_Asked):
    """Marks that expire, seen by every process of the region."""

    def seconds_left(self, key: str) -> float:
        """How long the mark ``key`` still holds; 0 for one that does not, or that cannot be seen."""
        found = self._ask(lambda: self._client.pttl(key))
        return max(0.0, found / 1000) if isinstance(found, int) else 0.0

    def put(self, key: str, *, seconds: float) -> None:
        """Set the mark ``key``, which holds for ``seconds``."""
        milliseconds = int(seconds * 1000)
        if milliseconds > 0:
            self._ask(lambda: self._client.set(key, b"1", px=milliseconds))


class SharedNumbers(_Asked):
    """Numbers that expire, seen by every process of the region."""

    def get(self, keys: Sequence[str]) -> list[int]:
        """Of each key; 0 for one that is not there, is no number, or cannot be seen."""
        found = self._ask(lambda: self._client.mget(keys)) if keys else []
        return [_number(each) for each in found] if isinstance(found, list) else [0] * len(keys)

    def put(self, key: str, number: int, *, seconds: float) -> None:
        """Let ``key`` hold ``number`` for ``seconds``."""
        self._ask(lambda: self._client.set(key, b"%d" % number, px=int(seconds * 1000)))


class SharedBuckets(_Asked):
    """Buckets of tokens, spent from by every process of the region (see `anfl.buckets.Region`)."""

    def spend(self, spent: Mapping[str, int], *, token_seconds: float, most_seconds: float) -> list[float] | None:
        """See `anfl.buckets.Region.spend`."""
        keys = [_BUCKETS + key for key in spent]
        given = (token_seconds * _MICRO, most_seconds * _MICRO, *spent.values())
        found = self._ask(lambda: self._client.eval(_SPEND, len(keys), *keys, *map(str, given)))
        if not isinstance(found, list) or len(found) != len(keys) or not all(isinstance(each, int) for each in found):
            return None
        return [min(max(0.0, each / _MICRO), most_seconds) for each in found]


def _number(found: object) -> int:
    return int(found) if isinstance(found, bytes) and found.isdigit() and len(found) <= _DIGITS else 0


def connect(settings: Settings, session: boto3.session.Session) -> SharedMarks | None:
    """Marks in the cache of ``settings``; None where there is none. Nothing is asked yet."""
    client = _client(settings, session, settings.user)
    return None if client is None else SharedMarks(client)


def numbers(settings: Settings, session: boto3.session.Session) -> SharedNumbers | None:
    """Numbers in the cache of ``settings``; None where there is none. Nothing is asked yet."""
    client = _client(settings, session, settings.user)
    return None if client is None else SharedNumbers(client)


def buckets(settings: Settings, session: boto3.session.Session) -> SharedBuckets | None:
    """Buckets in the cache of ``settings``; None where there is none. Nothing is asked yet."""
    client = _client(settings, session, settings.throttle_user)
    return None if client is None else SharedBuckets(client)


def _client(settings: Settings, session: boto3.session.Session, user: str) -> "valkey.Valkey | None":
    if settings.host is None or not user:
        return None
    return valkey.Valkey(
        host=settings.host,
        port=settings.port,
        credential_provider=IamLogin(name=settings.name, user=user, session=session),
        ssl=True,
        ssl_cert_reqs="required",
        ssl_check_hostname=True,
        ssl_min_version=ssl.TLSVersion.TLSv1_3,
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        lib_name=None,
        lib_version=None,
    )
