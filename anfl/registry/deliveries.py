"""Sends one webhook's request as MLflow does: JSON, signed, to a public address, bounded in time and size."""

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import msgspec
import urllib3

from anfl import public_hosts
from anfl.problems import Problem
from anfl.public_hosts import Resolver
from anfl.registry import webhook_rules
from anfl.registry.delivery_signatures import Signer, ToSign, WithSecrets
from anfl.registry.webhooks import Webhook

TIMEOUT_SECONDS = 10.0
_MAX_ANSWER_BYTES = 4096
_EXAMPLE = {
    "name": "example_model",
    "version": "1",
    "source": "models:/123",
    "run_id": "abcd1234abcd5678",
    "key": "example_key",
    "value": "example_value",
    "alias": "example_alias",
    "template": "Hello {{name}}!",
    "tags": {"example_key": "example_value"},
    "description": "An example",
}
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "REGISTERED_MODEL.CREATED": ("name", "tags", "description"),
    "MODEL_VERSION.CREATED": ("name", "version", "source", "run_id", "tags", "description"),
    "MODEL_VERSION_TAG.SET": ("name", "version", "key", "value"),
    "MODEL_VERSION_TAG.DELETED": ("name", "version", "key"),
    "MODEL_VERSION_ALIAS.CREATED": ("name", "alias", "version"),
    "MODEL_VERSION_ALIAS.DELETED": ("name", "alias"),
    "PROMPT.CREATED": ("name", "tags", "description"),
    "PROMPT_VERSION.CREATED": ("name", "version", "template", "tags", "description"),
    "PROMPT_TAG.SET": ("name", "key", "value"),
    "PROMPT_TAG.DELETED": ("name", "key"),
    "PROMPT_VERSION_TAG.SET": ("name", "version", "key", "value"),
    "PROMPT_VERSION_TAG.DELETED": ("name", "version", "key"),
    "PROMPT_ALIAS.CREATED": ("name", "alias", "version"),
    "PROMPT_ALIAS.DELETED": ("name", "alias"),
}
"""What the protocol tells of each event."""


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """What came of a request; ``error`` where no answer came."""

    status: int | None = None
    body: str = ""
    error: str | None = None

    @property
    def success(self) -> bool:
        """Whether the receiver took it. A redirect is no taking: none is followed."""
        return self.status is not None and 200 <= self.status < 300


class Sender(Protocol):
    """Sends a request; see `post`."""

    def __call__(
        self, *, address: str, host: str, port: int, target: str, body: bytes, headers: dict[str, str]
    ) -> Delivered:
        """Send it.

        :raises urllib3.exceptions.HTTPError: no answer came.
        """


def post(*, address: str, host: str, port: int, target: str, body: bytes, headers: dict[str, str]) -> Delivered:
    """POST over TLS to ``address``, whose certificate must be for ``host``; no redirect is followed.

    :raises urllib3.exceptions.HTTPError: no answer came.
    """
    status, answer = public_hosts.request(
        "POST",
        target,
        address=address,
        host=host,
        port=port,
        headers=headers,
        seconds=TIMEOUT_SECONDS,
        most_bytes=_MAX_ANSWER_BYTES,
        body=body,
    )
    return Delivered(status=status, body=answer.decode(errors="replace"))


class Deliveries:
    """Sends what webhooks ask for."""

    def __init__(
        self,
        *,
        signer: Signer | None = None,
        resolver: Resolver = public_hosts.resolve,
        sender: Sender = post,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """:param signer: None: one that signs by secrets in clear alone."""
        self.signer = signer or WithSecrets()
        self._resolver = resolver
        self._sender = sender
        self._clock = clock

    def test(self, tenant: str, webhook: Webhook, event: str | None = None) -> Delivered:
        """Send an example of ``event`` (None: the first that the webhook asks for). Never raises for the receiver.

        :raises Problem, SigningError: as `send`.
        """
        chosen = event or webhook.events[0]
        return self.send(tenant, webhook, chosen, {name: _EXAMPLE[name] for name in _FIELDS.get(chosen, ())})

    def send(
        self,
        tenant: str,
        webhook: Webhook,
        event: str,
        data: Mapping[str, object],
        *,
        delivery: str | None = None,
        at: float | None = None,
    ) -> Delivered:
        """Send one event, once.

        :param delivery: its id, the same at each attempt, by which a receiver tells repetitions.
        :param at: when it happened, in seconds since the epoch; the header tells when it was sent and signed.
        :raises Problem, SigningError: it could not be signed (`Signer.sign`), and nothing was sent.
        """
        entity, _, action = event.lower().partition(".")
        moment = self._clock()
        timestamp = datetime.fromtimestamp(moment if at is None else at, UTC).isoformat()
        body = msgspec.json.encode({"entity": entity, "action": action, "timestamp": timestamp, "data": data})
        delivery = delivery or str(uuid.uuid4())
        headers = {
            "Content-Type": "application/json",
            "X-MLflow-Delivery-Id": delivery,
            "X-MLflow-Timestamp": str(int(moment)),
        }
        if webhook.secret:
            asked = ToSign(
                tenant=tenant,
                webhook_id=webhook.id,
                delivery=delivery,
                timestamp=headers["X-MLflow-Timestamp"],
                body=body.decode(),
            )
            headers["X-MLflow-Signature"] = self.signer.sign(asked, webhook)
        try:
            parsed = webhook_rules.url(webhook.url)
            host = parsed.hostname or ""
            target = (parsed.path or "/") + (f"?{parsed.query}" if parsed.query else "")
            return self._sender(
                address=webhook_rules.public_address(host, self._resolver),
                host=host,
                port=parsed.port or 443,
                target=target,
                body=body,
                headers=headers | {"Host": parsed.netloc},
            )
        except Problem as problem:  # the name means something else than when the webhook was made
            return Delivered(error=problem.detail)
        except urllib3.exceptions.HTTPError as error:
            return Delivered(error=f"No answer: {type(error).__name__}")
