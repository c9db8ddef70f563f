"""The auth table: public keys of every region and revoked logins.

It is a global table, so each region sees what every other one published, about a second later.
"""

import json
import logging
import re
import time
from typing import TYPE_CHECKING

import msgspec

from anfl import aws
from anfl.items import Attributes, Items
from anfl.resources import PARTITION_KEY, SORT_KEY, AuthPartition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KID = re.compile(r"[a-z0-9-]{1,32}\.[1-9][0-9]{0,8}")
_log = logging.getLogger(__name__)


class PublishedKey(msgspec.Struct, frozen=True, kw_only=True):
    """One public key as a region published it. ``published_at`` is in seconds since the epoch."""

    kid: str
    """``<region>.<version of the transit key>``"""
    jwk: dict[str, str]
    """RFC 7517 members, with ``kid``, ``alg`` and ``use``."""
    published_at: int

    @property
    def region(self) -> str:
        """The region whose Vault holds the private half."""
        return self.kid.rpartition(".")[0]

    @property
    def version(self) -> int:
        """Version of that Vault's transit key."""
        return int(self.kid.rpartition(".")[2])


class AuthTable:
    """Typed access to the auth table. Methods raise botocore's errors."""

    def __init__(self, *, name: str, client: "DynamoDBClient | None" = None) -> None:
        self._name = name
        # A request waits for these reads only when nothing is cached; the caller answers 503 where they fail.
        self._client: DynamoDBClient = client or aws.session().client("dynamodb", config=aws.soon())

    def published_keys(self) -> tuple[PublishedKey, ...]:
        """Every region's public keys, ordered by kid. What is none is left out: it must not take the others with it."""
        items = self._partition(AuthPartition.KEYS).all()
        return tuple(key for kid, item in items if (key := _key(kid, item)) is not None)

    def publish(self, key: PublishedKey) -> None:
        """Publish ``key``, replacing what stands under its kid."""
        self._client.put_item(
            TableName=self._name,
            Item={
                PARTITION_KEY: {"S": AuthPartition.KEYS},
                SORT_KEY: {"S": key.kid},
                "jwk": {"S": json.dumps(key.jwk, sort_keys=True)},
                "published_at": {"N": str(key.published_at)},
            },
        )

    def withdraw(self, kid: str) -> None:
        """Take a public key back: its tokens are refused once the caches have noticed."""
        self._client.delete_item(
            TableName=self._name, Key={PARTITION_KEY: {"S": AuthPartition.KEYS}, SORT_KEY: {"S": kid}}
        )

    def revoked(self) -> frozenset[str]:
        """What `revoke` has put on the deny-list and has not expired yet, as `anfl.auth.principal.denied` names it."""
        now = int(time.time())
        entries = self._partition(AuthPartition.REVOKED).all()
        return frozenset(entry for entry, item in entries if _ends_at(item) >= now)

    def is_revoked(self, entry: str) -> bool:
        """Whether ``entry`` stands on the deny-list now."""
        item = self._partition(AuthPartition.REVOKED).get(entry)
        return item is not None and _ends_at(item) >= int(time.time())

    def revoke(self, entry: str, *, expires_at: int) -> bool:
        """Put ``entry`` on the deny-list; False where it stands there already, which is as good.

        :param expires_at: when its tokens have expired anyway, in seconds since the epoch.
        """
        return self._partition(AuthPartition.REVOKED).put(
            entry,
            {"expires_at": {"N": str(expires_at)}},
            # DynamoDB drops what has expired hours later.
            condition="attribute_not_exists(#expires_at) OR #expires_at < :now",
            names=("expires_at",),
            values={":now": {"N": str(int(time.time()))}},
        )

    def _partition(self, partition: AuthPartition) -> Items:
        return Items(self._client, table=self._name, partition=partition)


def _ends_at(item: Attributes) -> float:
    """When an entry of the deny-list expires: never, where it does not say so in words that are understood."""
    try:
        return int(item["expires_at"]["N"])
    except (KeyError, TypeError, ValueError):
        return float("inf")


def _key(kid: str, item: Attributes) -> PublishedKey | None:
    try:
        if _KID.fullmatch(kid) is None:
            raise ValueError("it has not the name of a key")
        jwk = msgspec.json.decode(item["jwk"]["S"], type=dict[str, str])
        return PublishedKey(kid=kid, jwk=jwk, published_at=int(item["published_at"]["N"]))
    except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
        _log.error("what is published is no key", extra={"kid": kid, "error": repr(error)})
        return None
