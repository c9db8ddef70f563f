"""Events of the registry as MLflow names them, on their way to the webhooks that asked for them.

A change is told after it was made: a process that dies in between tells nobody (the audit holds every change). Each
webhook gets a message of its own on the queue, so that one receiver's trouble is no other's.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from anfl.registry.entities import PROMPT_TAG, Model, Version
from anfl.registry.webhooks import Webhook, Webhooks

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_DATA_BYTES = 200_000
"""Of one event: SQS takes 256 KB a message. What is larger is told without its largest members."""
REMEMBERED_SECONDS = 10.0
"""How long a process may not know of a new webhook."""
_PROMPT_TEXT = "mlflow.prompt.text"
_PROMPT_TYPE = "_mlflow_prompt_type"
_log = logging.getLogger(__name__)

Data = Mapping[str, Any]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one webhook: the message on the queue. ``id`` stays the same however often it is tried."""

    tenant: str
    webhook_id: str
    event: str
    """``ENTITY.ACTION``."""
    data: dict[str, Any]
    at: float
    """Seconds since the epoch."""
    id: str


Tell = Callable[[str, str, Data], None]
"""(tenant, event, what it tells): never raises for what becomes of it."""


def nobody(_tenant: str, _event: str, _data: Data) -> None:
    """Tell nobody."""


class Events:
    """Puts events on the queue for the webhooks that want them."""

    def __init__(
        self,
        webhooks: Webhooks,
        *,
        url: str,
        client: "SQSClient",
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """:param url: of the queue."""
        self._webhooks = webhooks
        self._url = url
        self._client = client
        self._clock = clock
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, list[Webhook]]] = {}
        self._lock = threading.Lock()

    def __call__(self, tenant: str, event: str, data: Data) -> None:
        """See `Tell`: the change that this tells of is made, so a failure is noted and not raised."""
        try:
            for webhook in self._active(tenant):
                if event in webhook.events:
                    delivery = Delivery(
                        tenant=tenant,
                        webhook_id=webhook.id,
                        event=event,
                        data=_fitting(data),
                        at=self._clock(),
                        id=str(uuid.uuid4()),
                    )
                    self._client.send_message(QueueUrl=self._url, MessageBody=msgspec.json.encode(delivery).decode())
        except (BotoCoreError, ClientError):
            _log.exception("event not told", extra={"event": event})

    def _active(self, tenant: str) -> list[Webhook]:
        moment = self._monotonic()
        with self._lock:
            until, known = self._known.get(tenant, (moment, []))
        if until > moment:
            return known
        known = [webhook for webhook in self._webhooks.all(tenant) if webhook.status == "ACTIVE"]
        with self._lock:
            self._known = {name: entry for name, entry in self._known.items() if entry[0] > moment}
            self._known[tenant] = (moment + REMEMBERED_SECONDS, known)
        return known


def is_prompt(model: Model) -> bool:
    """Whether a model is one of MLflow's prompts, whose events have names of their own."""
    return model.tags.get(PROMPT_TAG, "false").lower() == "true"


def model_created(model: Model, tags: Mapping[str, str]) -> tuple[str, Data]:
    """The event, and what it tells."""
    if not is_prompt(model):
        data = {"name": model.name, "tags": dict(tags), "description": model.description}
        return "REGISTERED_MODEL.CREATED", data
    shown = {key: value for key, value in tags.items() if key not in (PROMPT_TAG, _PROMPT_TYPE)}
    return "PROMPT.CREATED", {"name": model.name, "tags": shown, "description": model.description}


def version_created(model: Model, version: Version, tags: Mapping[str, str]) -> tuple[str, Data]:
    """The event, and what it tells."""
    about = {"name": model.name, "version": str(version.number), "description": version.description or None}
    if not is_prompt(model):
        more = {"source": version.source, "run_id": version.run_id or None, "tags": dict(tags)}
        return "MODEL_VERSION.CREATED", about | more
    hidden = (PROMPT_TAG, _PROMPT_TYPE, _PROMPT_TEXT)
    shown = {key: value for key, value in tags.items() if key not in hidden}
    return "PROMPT_VERSION.CREATED", about | {"template": tags.get(_PROMPT_TEXT), "tags": shown}


def version_tag(model: Model, number: int, key: str, value: str | None) -> tuple[str, Data]:
    """The event, and what it tells; ``value`` None: the tag is removed."""
    entity = "PROMPT_VERSION_TAG" if is_prompt(model) else "MODEL_VERSION_TAG"
    about = {"name": model.name, "version": str(number), "key": key}
    return (f"{entity}.DELETED", about) if value is None else (f"{entity}.SET", about | {"value": value})


def alias(model: Model, name: str, number: int | None) -> tuple[str, Data]:
    """The event, and what it tells; ``number`` None: the alias is removed."""
    entity = "PROMPT_ALIAS" if is_prompt(model) else "MODEL_VERSION_ALIAS"
    about = {"name": model.name, "alias": name}
    return (f"{entity}.DELETED", about) if number is None else (f"{entity}.CREATED", about | {"version": str(number)})


def prompt_tag(model: Model, key: str, value: str | None) -> tuple[str, Data]:
    """The event, and what it tells; ``value`` None: the tag is removed. MLflow has none for tags of other models."""
    about = {"name": model.name, "key": key}
    return ("PROMPT_TAG.DELETED", about) if value is None else ("PROMPT_TAG.SET", about | {"value": value})


def _fitting(data: Data) -> dict[str, Any]:
    """``data`` without its largest members, where all of it is too much for a message."""
    kept = dict(data)
    while len(msgspec.json.encode(kept)) > MAX_DATA_BYTES:
        largest = max(kept, key=lambda name: len(msgspec.json.encode(kept[name])))
        kept.pop(largest)
    return kept
