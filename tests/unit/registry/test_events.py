"""Events and their delivery: each change is told once to who wants to know, and a receiver's trouble has an end."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import urllib3
from botocore.exceptions import ConnectTimeoutError

from anfl.registry.deliveries import Delivered, Deliveries
from anfl.registry.entities import PROMPT_TAG
from anfl.registry.letters import MAX_DATA_BYTES
from anfl.registry.queues import REMEMBERED_SECONDS, Delivery
from anfl.registry.registry import Registry
from lambda_src.webhooks.handler import Function
from tests.unit.registry.conftest import PUBLIC, Time, received
from tests.unit.registry.test_models import SOURCE, version
from tests.unit.registry.test_webhooks import URL

ALL = [
    (entity, action)
    for entity, actions in {
        "REGISTERED_MODEL": ["CREATED"],
        "MODEL_VERSION": ["CREATED"],
        "MODEL_VERSION_TAG": ["SET", "DELETED"],
        "MODEL_VERSION_ALIAS": ["CREATED", "DELETED"],
        "PROMPT": ["CREATED"],
        "PROMPT_VERSION": ["CREATED"],
        "PROMPT_TAG": ["SET", "DELETED"],
        "PROMPT_VERSION_TAG": ["SET", "DELETED"],
        "PROMPT_ALIAS": ["CREATED", "DELETED"],
    }.items()
    for action in actions
]


@pytest.fixture(name="registry")
def _registry(process: Callable[..., Registry], time: Time) -> Registry:
    return process(time)


Receive = Callable[[], list[dict[str, Any]]]


@pytest.fixture(name="receive")
def _receive(registry: Registry, sqs: Any, events_url: str) -> Receive:
    """Has the registry send its letters, and takes what came of them."""

    def receive() -> list[dict[str, Any]]:
        registry.outbox.deliver()
        return received(sqs, events_url)

    return receive


def told(receive: Receive) -> list[tuple[str, dict[str, Any]]]:
    deliveries = [msgspec.json.decode(record["body"], type=Delivery) for record in receive()]
    return [(delivery.event, delivery.data) for delivery in deliveries]


def hook(registry: Registry, tenant: str = "acme", **more: Any) -> str:
    return registry.webhooks.create(tenant, **{"by": "ana", "name": "hook", "url": URL, "events": ALL} | more).id


def test_each_change_of_a_model_is_told_once_in_mlflows_words(registry: Registry, receive: Receive) -> None:
    hook(registry)
    registry.models.create("acme", "bert", tags={"a": "b"}, description="d", by="ana")
    registry.versions.create("acme", "bert", source=SOURCE, location=SOURCE, run_id="", tags={"c": "d"}, by="ana")
    registry.version_tags.set("acme", "bert", 1, "k", "v", by="ana")
    registry.version_tags.set("acme", "bert", 1, "k", "v", by="ana")
    registry.version_tags.delete("acme", "bert", 1, "k", by="ana")
    registry.version_tags.delete("acme", "bert", 1, "absent", by="ana")
    registry.aliases.set("acme", "bert", "champion", 1, by="ana")
    registry.aliases.set("acme", "bert", "champion", 1, by="ana")
    registry.aliases.delete("acme", "bert", "champion", by="ana")
    registry.model_tags.set("acme", "bert", "k", "v", by="ana")
    registry.models.describe("acme", "bert", "d", by="ana")
    name = {"name": "bert"}
    assert told(receive) == [
        ("REGISTERED_MODEL.CREATED", name | {"tags": {"a": "b"}, "description": "d"}),
        (
            "MODEL_VERSION.CREATED",
            name | {"version": "1", "source": SOURCE, "run_id": None, "tags": {"c": "d"}, "description": None},
        ),
        ("MODEL_VERSION_TAG.SET", name | {"version": "1", "key": "k", "value": "v"}),
        ("MODEL_VERSION_TAG.DELETED", name | {"version": "1", "key": "k"}),
        ("MODEL_VERSION_ALIAS.CREATED", name | {"alias": "champion", "version": "1"}),
        ("MODEL_VERSION_ALIAS.DELETED", name | {"alias": "champion"}),
    ]


def test_prompts_have_events_of_their_own(registry: Registry, receive: Receive) -> None:
    hook(registry)
    registry.models.create("acme", "bert", tags={PROMPT_TAG: "true", "a": "b"}, by="ana")
    tags = {PROMPT_TAG: "true", "mlflow.prompt.text": "Hello {{name}}", "c": "d"}
    registry.versions.create("acme", "bert", source="x", location="x", tags=tags, by="ana")
    registry.model_tags.set("acme", "bert", "k", "v", by="ana")
    registry.model_tags.delete("acme", "bert", "k", by="ana")
    registry.version_tags.set("acme", "bert", 1, "k", "v", by="ana")
    registry.aliases.set("acme", "bert", "champion", 1, by="ana")
    events = told(receive)
    assert [event for event, _ in events] == [
        "PROMPT.CREATED",
        "PROMPT_VERSION.CREATED",
        "PROMPT_TAG.SET",
        "PROMPT_TAG.DELETED",
        "PROMPT_VERSION_TAG.SET",
        "PROMPT_ALIAS.CREATED",
    ]
    assert events[0][1]["tags"] == {"a": "b"}
    assert (events[1][1]["template"], events[1][1]["tags"]) == ("Hello {{name}}", {"c": "d"})


def test_only_active_webhooks_of_the_tenant_that_asked_for_the_event_are_told(
    registry: Registry, receive: Receive, time: Time
) -> None:
    hook(registry, events=[("MODEL_VERSION", "CREATED")])
    hook(registry, status="DISABLED")
    hook(registry, "other")
    registry.models.create("acme", "bert", by="ana")
    assert told(receive) == []
    version(registry, "acme", "bert")
    assert [event for event, _ in told(receive)] == ["MODEL_VERSION.CREATED"]
    hook(registry)
    time.now += REMEMBERED_SECONDS + 1
    registry.models.create("acme", "new", by="ana")
    assert [event for event, _ in told(receive)] == ["REGISTERED_MODEL.CREATED"]


def test_a_change_that_was_refused_is_not_told(registry: Registry, receive: Receive) -> None:
    hook(registry)
    registry.models.create("acme", "bert", by="ana")
    receive()
    for call in (
        lambda: registry.models.create("acme", "bert", by="ana"),
        lambda: registry.aliases.set("acme", "bert", "a", 1, by="ana"),
        lambda: registry.version_tags.set("acme", "bert", 1, "k", "v", by="ana"),
    ):
        with pytest.raises(Exception, match=r"exists|not found"):
            call()
    assert told(receive) == []


def test_what_is_too_large_for_a_message_is_told_without_its_largest_members(
    registry: Registry, receive: Receive
) -> None:
    hook(registry)
    registry.models.create("acme", "bert", tags={f"k{n}": "x" * 90_000 for n in range(5)}, description="d", by="ana")
    ((_, data),) = told(receive)
    assert data == {"name": "bert", "description": "d"}
    assert len(json.dumps(data)) < MAX_DATA_BYTES


def test_a_queue_that_cannot_be_reached_fails_no_change(registry: Registry, sqs: Any, events_url: str) -> None:
    hook(registry)
    sqs.delete_queue(QueueUrl=events_url)
    registry.models.create("acme", "bert", by="ana")
    assert registry.models.get("acme", "bert")[0].name == "bert"


class Receiver:
    """Answers as it is told, and notes what it gets."""

    def __init__(self, *answers: Delivered | Exception) -> None:
        self.answers = list(answers)
        self.got: list[dict[str, Any]] = []

    def __call__(self, **request: Any) -> Delivered:
        self.got.append(request)
        answer = self.answers.pop(0) if self.answers else Delivered(status=200)
        if isinstance(answer, Exception):
            raise answer
        return answer


def function(
    registry: Registry, sqs: Any, url: str, receiver: Receiver, *, address: str = PUBLIC, chance: float = 1.0
) -> Function:
    # Which secret signs, and who is asked, is `test_secrets`.
    signer = registry.deliveries.signer
    deliveries = Deliveries(signer=signer, resolver=lambda _: [address], sender=receiver, clock=lambda: 5000.0)
    return Function(registry.webhooks, deliveries, queue_url=url, sqs=sqs, chance=lambda: chance)


def again(sqs: Any, url: str, records: list[dict[str, Any]]) -> None:
    """Let the pauses pass."""
    for record in records:
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=0)


def test_an_event_arrives_signed_as_mlflow_signs(
    registry: Registry, sqs: Any, events_url: str, receive: Receive
) -> None:
    hook(registry, secret="s3cret")
    registry.models.create("acme", "bert", by="ana")
    receiver = Receiver()
    assert function(registry, sqs, events_url, receiver).answer({"Records": receive()}) == {"batchItemFailures": []}
    (request,) = receiver.got
    headers = request["headers"]
    signed = f"{headers['X-MLflow-Delivery-Id']}.5000.".encode() + request["body"]
    expected = base64.b64encode(hmac.new(b"s3cret", signed, hashlib.sha256).digest()).decode()
    assert headers["X-MLflow-Signature"] == f"v1,{expected}"
    assert headers["X-MLflow-Timestamp"] == "5000"
    body = json.loads(request["body"])
    assert (body["entity"], body["action"], body["data"]["name"]) == ("registered_model", "created", "bert")
    assert body["timestamp"] == "1970-01-01T00:16:40+00:00", "when it happened"


TROUBLES = [
    Delivered(status=500),
    Delivered(status=429),
    Delivered(status=404),
    Delivered(status=302),
    urllib3.exceptions.ConnectTimeoutError(),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
def test_what_is_not_taken_is_tried_again_with_the_same_id(
    registry: Registry, sqs: Any, events_url: str, receive: Receive, trouble: Any
) -> None:
    hook(registry)
    registry.models.create("acme", "bert", by="ana")
    receiver = Receiver(trouble)
    consumer = function(registry, sqs, events_url, receiver)
    first = receive()
    assert len(consumer.answer({"Records": first})["batchItemFailures"]) == 1
    assert receive() == [], "not at once"
    again(sqs, events_url, first)
    assert consumer.answer({"Records": receive()}) == {"batchItemFailures": []}
    ids = [request["headers"]["X-MLflow-Delivery-Id"] for request in receiver.got]
    assert ids[0] == ids[1]


@pytest.mark.parametrize(("attempt", "shortest", "longest"), [(1, 8, 15), (2, 30, 60), (3, 120, 240), (9, 450, 900)])
def test_pauses_grow_and_spread(registry: Registry, events_url: str, attempt: int, shortest: int, longest: int) -> None:
    hook(registry)
    pauses: list[int] = []

    class Queue:
        def change_message_visibility(self, **given: Any) -> None:
            pauses.append(given["VisibilityTimeout"])

    body = Delivery(tenant="acme", webhook_id=hook(registry), event="MODEL_VERSION.CREATED", data={}, at=1.0, id="i")
    record = {
        "messageId": "m",
        "receiptHandle": "r",
        "body": msgspec.json.encode(body).decode(),
        "attributes": {"ApproximateReceiveCount": str(attempt)},
    }
    for chance in (0.0, 1.0):
        receiver = Receiver(Delivered(status=500))
        function(registry, Queue(), events_url, receiver, chance=chance).answer({"Records": [record]})
    assert pauses == [shortest, longest]


def test_what_was_delivered_is_done_with_though_the_queue_does_not_take_another_ones_pause(
    registry: Registry, events_url: str, receive: Receive
) -> None:
    hook(registry)
    hook(registry, url="https://healthy.example.com/")
    registry.models.create("acme", "bert", by="ana")

    class Queue:
        def change_message_visibility(self, **_: Any) -> None:
            raise ConnectTimeoutError(endpoint_url=events_url)

    class Two(Receiver):
        def __call__(self, **request: Any) -> Delivered:
            return Delivered(status=200 if request["host"].startswith("healthy") else 500)

    answer = function(registry, Queue(), events_url, Two()).answer({"Records": receive()})
    assert len(answer["batchItemFailures"]) == 1


def test_a_receiver_that_never_takes_it_ends_among_the_dead_letters_and_others_are_told(
    registry: Registry, sqs: Any, events_url: str, receive: Receive
) -> None:
    hook(registry)
    hook(registry, url="https://healthy.example.com/")
    registry.models.create("acme", "bert", by="ana")

    class Two(Receiver):
        def __call__(self, **request: Any) -> Delivered:
            self.got.append(request)
            return Delivered(status=200 if request["host"].startswith("healthy") else 500)

    receiver = Two()
    consumer = function(registry, sqs, events_url, receiver)
    for _ in range(5):
        records = receive()
        failed = {entry["itemIdentifier"] for entry in consumer.answer({"Records": records})["batchItemFailures"]}
        for record in records:
            if record["messageId"] not in failed:
                sqs.delete_message(QueueUrl=events_url, ReceiptHandle=record["receiptHandle"])
        again(sqs, events_url, [record for record in records if record["messageId"] in failed])
    hosts = [request["host"] for request in receiver.got]
    assert (hosts.count("healthy.example.com"), hosts.count("hooks.example.com")) == (1, 3)
    dead = sqs.receive_message(QueueUrl=sqs.get_queue_url(QueueName="dead")["QueueUrl"])["Messages"]
    assert msgspec.json.decode(dead[0]["Body"], type=Delivery).event == "REGISTERED_MODEL.CREATED"


def test_a_name_that_turned_private_is_not_called(
    registry: Registry, sqs: Any, events_url: str, receive: Receive
) -> None:
    hook(registry)
    registry.models.create("acme", "bert", by="ana")
    receiver = Receiver()
    consumer = function(registry, sqs, events_url, receiver, address="169.254.169.254")
    assert len(consumer.answer({"Records": receive()})["batchItemFailures"]) == 1
    assert receiver.got == []


@pytest.mark.parametrize("change", ["deleted", "disabled", "asks for other events"])
def test_a_webhook_that_no_longer_wants_it_is_left_alone(
    registry: Registry, sqs: Any, events_url: str, receive: Receive, change: str
) -> None:
    webhook = hook(registry)
    registry.models.create("acme", "bert", by="ana")
    match change:
        case "deleted":
            registry.webhooks.delete("acme", webhook, by="ana")
        case "disabled":
            registry.webhooks.update("acme", webhook, status="DISABLED", by="ana")
        case _:
            registry.webhooks.update("acme", webhook, events=[("MODEL_VERSION", "CREATED")], by="ana")
    receiver = Receiver()
    assert function(registry, sqs, events_url, receiver).answer({"Records": receive()}) == {"batchItemFailures": []}
    assert receiver.got == []


def test_a_message_that_is_none_fails_alone(registry: Registry, sqs: Any, events_url: str, receive: Receive) -> None:
    hook(registry)
    registry.models.create("acme", "bert", by="ana")
    sqs.send_message(QueueUrl=events_url, MessageBody="{}")
    records = receive()
    answer = function(registry, sqs, events_url, Receiver()).answer({"Records": records})
    (nonsense,) = (record["messageId"] for record in records if record["body"] == "{}")
    assert answer == {"batchItemFailures": [{"itemIdentifier": nonsense}]}
