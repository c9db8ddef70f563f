"""What the registry sends because of a change: events for webhooks, requests for validation.

A letter is written in the transaction of its change (`anfl.registry.outbox`) and carries an id by which whoever gets it
twice can tell.
"""

import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from anfl.registry.entities import Model, Verdict, VerdictStatus

MAX_DATA_BYTES = 200_000
"""Of one event: SQS takes 256 KB a message. What is larger is told without its largest members."""
Data = Mapping[str, Any]
"""JSON."""


def _new_id() -> str:
    return str(uuid.uuid4())


class Event(msgspec.Struct, frozen=True, kw_only=True, tag="event"):
    """Something that webhooks of the tenant may want to know."""

    tenant: str
    name: str
    """``ENTITY.ACTION``, as MLflow names it."""
    data: Data
    at: int
    """Milliseconds since the epoch."""
    id: str = msgspec.field(default_factory=_new_id)


class ValidationRequest(msgspec.Struct, frozen=True, kw_only=True, tag="validation"):
    """That a version is to be inspected; also the message on the validation queue.

    The model's name is for people: it may be another one when the message is read.
    """

    tenant: str
    model_id: str
    name: str
    version: int
    at: int = 0
    id: str = msgspec.field(default_factory=_new_id)


Letter = Event | ValidationRequest


def request_for(tenant: str, model: Model, number: int, verdict: Verdict | None, *, at: int) -> list[ValidationRequest]:
    """The request that the state of a version's validation promises: one where it is pending."""
    if verdict is None or verdict.status is not VerdictStatus.PENDING:
        return []
    return [ValidationRequest(tenant=tenant, model_id=model.id, name=model.name, version=number, at=at)]


def bounded(letter: Letter) -> Letter:
    """``letter`` without the largest members of an event, where all of it is too much for a message."""
    if isinstance(letter, ValidationRequest):
        return letter
    kept = dict(letter.data)
    while len(as_text(kept).encode()) > MAX_DATA_BYTES:
        kept.pop(max(kept, key=lambda name: len(as_text(kept[name]).encode())))
    return msgspec.structs.replace(letter, data=kept)


def as_text(message: object) -> str:
    """As JSON, without the two characters that SQS takes in no message and JSON need not escape."""
    return msgspec.json.encode(message).decode().replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
