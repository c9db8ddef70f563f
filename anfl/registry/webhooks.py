"""Webhooks: where a tenant wants to be told of changes. `anfl.registry.deliveries` sends what they ask for."""

import hashlib
import uuid
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import msgspec

from anfl import public_hosts
from anfl.problems import Problem
from anfl.public_hosts import Resolver
from anfl.registry import keys, rules, webhook_rules
from anfl.registry.audit import Change, Head
from anfl.registry.clock import Clock, now
from anfl.registry.errors import does_not_exist, invalid_parameter
from anfl.registry.journal import Journal
from anfl.registry.secrets import InClear, Secrets, is_sealed
from anfl.registry.table import ABSENT, Condition, Delete, Put, Table

MAX_WEBHOOKS = 500
"""Of one tenant: all of them fit one page of a query."""

Event = tuple[str, str]
"""Entity and action, as the protocol names them: ``("MODEL_VERSION", "CREATED")``."""


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook. No answer holds the secret, and no process but one that seals or signs sees it."""

    id: str
    name: str
    url: str
    events: tuple[str, ...]
    """``ENTITY.ACTION``."""
    description: str | None = None
    secret: str | None = None
    """Signs deliveries (HMAC), as the table keeps it (`anfl.registry.secrets`)."""
    status: str = "ACTIVE"
    created_at: int
    updated_at: int
    revision: int = 1


class Webhooks:
    """Webhooks of all tenants; every method takes the tenant first and reaches nothing of another's."""

    def __init__(
        self,
        table: Table,
        *,
        secrets: Secrets | None = None,
        resolver: Resolver = public_hosts.resolve,
        clock: Clock = now,
    ) -> None:
        """:param secrets: None: they stay in clear."""
        self._table = table
        self._secrets = secrets or InClear()
        self._journal = Journal(table)
        self._resolver = resolver
        self._clock = clock

    def create(
        self,
        tenant: str,
        *,
        by: str,
        name: str,
        url: str,
        events: Sequence[Event],
        description: str | None = None,
        secret: str | None = None,
        status: str | None = None,
    ) -> Webhook:
        """A new webhook; several may have the same name.

        :raises Problem: 400; 503 where the secret cannot be sealed.
        """
        moment = self._clock()
        webhook = Webhook(
            id=str(uuid.uuid4()),
            name=webhook_rules.name(name),
            url=self._usable(url),
            events=webhook_rules.events(events),
            description=_description(description),
            secret=_secret(secret),
            status=webhook_rules.status(status or "ACTIVE"),
            created_at=moment,
            updated_at=moment,
        )
        change = Change(by=by, at=moment, action="webhook.created", after=_told(webhook))

        def attempt() -> Webhook:
            head = self._journal.head(tenant)  # before those are counted that there are
            if len(self.all(tenant)) >= MAX_WEBHOOKS:
                raise invalid_parameter(f"At most {MAX_WEBHOOKS} webhooks may exist; delete one first.")
            kept = msgspec.structs.replace(webhook, secret=self._kept(tenant, webhook.id, webhook.secret))
            put = Put(key=keys.webhook(tenant, webhook.id), item=_item(kept), condition=ABSENT)
            self._journal.write(tenant, change, put, head=head)
            return kept

        return self._journal.in_turn(tenant, attempt)

    def get(self, tenant: str, webhook_id: str) -> Webhook:
        """A webhook.

        :raises Problem: 404.
        """
        item = self._table.get(keys.webhook(tenant, webhook_id)) if _is_possible(webhook_id) else None
        if item is None:
            raise _not_found(webhook_id)
        return msgspec.convert(item, Webhook)

    def all(self, tenant: str) -> list[Webhook]:
        """All webhooks, the newest first."""
        found = [msgspec.convert(item, Webhook) for item in self._table.query(keys.webhooks(tenant))]
        return sorted(found, key=lambda webhook: (-webhook.created_at, webhook.id))

    def update(
        self,
        tenant: str,
        webhook_id: str,
        *,
        by: str,
        name: str | None = None,
        url: str | None = None,
        events: Sequence[Event] | None = None,
        description: str | None = None,
        secret: str | None = None,
        status: str | None = None,
    ) -> Webhook:
        """Change what is given; the rest stays.

        :raises Problem: 404, 400; 503 where the secret cannot be sealed.
        """
        changes = {
            "name": None if name is None else webhook_rules.name(name),
            "url": None if url is None else self._usable(url),
            "events": None if events is None else webhook_rules.events(events),
            "description": _description(description),
            "secret": _secret(secret),
            "status": None if status is None else webhook_rules.status(status),
        }
        given = {field: value for field, value in changes.items() if value is not None}

        def attempt() -> Webhook:
            head, before = self._read(tenant, webhook_id)
            moment = max(self._clock(), before.updated_at + 1)  # a change is later than what it changes
            after = msgspec.structs.replace(before, **given, updated_at=moment, revision=before.revision + 1)
            if "secret" in given:
                after = msgspec.structs.replace(after, secret=self._kept(tenant, before.id, after.secret))
            condition = Condition(revision=before.revision)
            put = Put(key=keys.webhook(tenant, webhook_id), item=_item(after), condition=condition)
            told = _told(after) | {"secret_changed": after.secret != before.secret}
            change = Change(by=by, at=moment, action="webhook.updated", before=_told(before), after=told)
            self._journal.write(tenant, change, put, head=head)
            return after

        return self._journal.in_turn(tenant, attempt)

    def seal(self, tenant: str, webhook_id: str, *, by: str) -> bool:
        """Seal the secret of a webhook from before secrets were; False where there is nothing to do.

        :raises Problem: 404; 503 where it cannot be sealed.
        """

        def attempt() -> bool:
            head, before = self._read(tenant, webhook_id)
            if before.secret is None or is_sealed(before.secret):
                return False
            kept = self._secrets.seal(tenant, webhook_id, before.secret)
            after = msgspec.structs.replace(before, secret=kept, revision=before.revision + 1)
            condition = Condition(revision=before.revision)
            put = Put(key=keys.webhook(tenant, webhook_id), item=_item(after), condition=condition)
            change = Change(by=by, at=self._clock(), action="webhook.sealed", before=_told(before), after=_told(after))
            self._journal.write(tenant, change, put, head=head)
            return True

        return self._journal.in_turn(tenant, attempt)

    def delete(self, tenant: str, webhook_id: str, *, by: str) -> None:
        """Remove a webhook.

        :raises Problem: 404.
        """

        def attempt() -> None:
            head, before = self._read(tenant, webhook_id)
            change = Change(by=by, at=self._clock(), action="webhook.deleted", before=_told(before))
            delete = Delete(key=keys.webhook(tenant, webhook_id), condition=Condition(revision=before.revision))
            self._journal.write(tenant, change, delete, head=head)

        self._journal.in_turn(tenant, attempt)

    def _read(self, tenant: str, webhook_id: str) -> tuple[Head, Webhook]:
        """A webhook and where the audit ends.

        :raises Problem: 404.
        """
        if not _is_possible(webhook_id):
            raise _not_found(webhook_id)
        head, (item,) = self._journal.read(tenant, keys.webhook(tenant, webhook_id))
        if item is None:
            raise _not_found(webhook_id)
        return head, msgspec.convert(item, Webhook)

    def _kept(self, tenant: str, webhook_id: str, secret: str | None) -> str | None:
        return None if secret is None else self._secrets.seal(tenant, webhook_id, secret)

    def _usable(self, url: str) -> str:
        parsed = webhook_rules.url(url)
        webhook_rules.public_address(parsed.hostname or "", self._resolver)
        return url


def _item(webhook: Webhook) -> dict[str, object]:
    return {name: value for name, value in msgspec.to_builtins(webhook).items() if value is not None}


def _bounded(limit: int, field: str) -> Callable[[str | None], str | None]:
    def check(text: str | None) -> str | None:
        if text:
            rules.limit_bytes(text, limit, field=field)
        return text or None

    return check


_description = _bounded(webhook_rules.MAX_DESCRIPTION_BYTES, "description")
_secret = _bounded(webhook_rules.MAX_SECRET_BYTES, "secret")


def _is_possible(webhook_id: str) -> bool:
    is_text = not any("\ud800" <= character <= "\udfff" for character in webhook_id)
    return is_text and 0 < len(webhook_id.encode()) <= keys.MAX_SORT_KEY_BYTES


def _told(webhook: Webhook) -> dict[str, object]:
    """What the audit tells of a webhook: its address may hold secrets, so only its host and a hash of it."""
    return {
        "id": webhook.id,
        "name": webhook.name,
        "host": urlsplit(webhook.url).hostname,
        "url_sha256": hashlib.sha256(webhook.url.encode()).hexdigest(),
        "events": list(webhook.events),
        "status": webhook.status,
        "description": webhook.description,
        "signed": webhook.secret is not None,
    }


def _not_found(webhook_id: str) -> Problem:
    return does_not_exist(f"Webhook with ID {webhook_id} not found.")
