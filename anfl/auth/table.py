"""The auth table: public keys of every region (``pk = jwks``) and revoked logins (``pk = revoked``).

It is a global table, so each region sees what every other one published, about a second later.
"""

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from anfl import aws
from anfl.items import Attributes, Items
from anfl.resources import PARTITION_KEY, SORT_KEY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEYS = "jwks"
_REVOKED = "revoked"


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
        """Every region's public keys, ordered by kid."""
        return tuple(
            PublishedKey(
                kid=kid,
                jwk=msgspec.json.decode(item["jwk"]["S"], type=dict[str, str]),
                published_at=int(item["published_at"]["N"]),
            )
            for kid, item in self._all(_KEYS)
        )

    def publish(self, key: PublishedKey) -> None:
        """Publish ``key``, replacing what stands under its kid."""
        self._client.put_item(
            TableName=self._name,
            Item={
                PARTITION_KEY: {"S": _KEYS},
                SORT_KEY: {"S": key.kid},
                "jwk": {"S": json.dumps(key.jwk, sort_keys=True)},
                "published_at": {"N": str(key.published_at)},
            },
        )

    def withdraw(self, kid: str) -> None:
        """Take a public key back: its tokens are refused once the caches have noticed."""
        self._client.delete_item(TableName=self._name, Key={PARTITION_KEY: {"S": _KEYS}, SORT_KEY: {"S": kid}})

    def revoked(self) -> frozenset[str]:
        """What `revoke` has put on the deny-list and has not expired yet, as `anfl.auth.principal.denied` names it."""
        now = int(time.time())
        return frozenset(entry for entry, item in self._all(_REVOKED) if int(item["expires_at"]["N"]) >= now)

    def revoke(self, entry: str, *, expires_at: int) -> None:
        """Put ``entry`` on the deny-list; once more is the same as once.

        :param expires_at: when its tokens have expired anyway, in seconds since the epoch.
        """
        self._client.put_item(
            TableName=self._name,
            Item={
                PARTITION_KEY: {"S": _REVOKED},
                SORT_KEY: {"S": entry},
                "expires_at": {"N": str(expires_at)},
            },
        )

    def _all(self, partition: str) -> Iterator[tuple[str, Attributes]]:
        return Items(self._client, table=self._name, partition=partition).all()
