"""The auth table: public keys of every region (``pk = jwks``) and revoked logins (``pk = revoked``).

It is a global table, so each region sees what every other one published, about a second later.
"""

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from anfl import aws
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
        self._client: DynamoDBClient = client or aws.session().client(
            "dynamodb",
            # A request waits for these reads only when nothing is cached: fail soon, the caller answers 503.
            config=aws.config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3}),
        )

    def published_keys(self) -> tuple[PublishedKey, ...]:
        """Every region's public keys, ordered by kid."""
        return tuple(
            PublishedKey(
                kid=item[SORT_KEY]["S"],
                jwk=msgspec.json.decode(item["jwk"]["S"], type=dict[str, str]),
                published_at=int(item["published_at"]["N"]),
            )
            for item in self._query(_KEYS)
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
        return frozenset(item[SORT_KEY]["S"] for item in self._query(_REVOKED) if int(item["expires_at"]["N"]) >= now)

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

    def _query(self, partition: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name,
            KeyConditionExpression="#p = :p",
            ExpressionAttributeNames={"#p": PARTITION_KEY},
            ExpressionAttributeValues={":p": {"S": partition}},
            ConsistentRead=True,
        )
        for page in pages:
            yield from page["Items"]
