"""Letters: promised with a change, sent once it is made, and by others where their process could not."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from anfl.registry.inspections import Inspections
from anfl.registry.outbox import GRACE_MS, LEASE_MS
from anfl.registry.postman import Postman
from anfl.registry.registry import Registry
from anfl.registry.verdicts import pending
from lambda_src.model_validation.handler import Function
from tests.unit.registry.conftest import Time, items, received
from tests.unit.registry.test_artifact_store import register, upload
from tests.unit.registry.test_webhooks import URL

Process = Callable[[Time], Registry]
OLD = GRACE_MS / 1000 + 1


@pytest.fixture(name="registry")
def _registry(process: Process, time: Time) -> Registry:
    """A model with a version to be validated, and a webhook: two letters are promised."""
    registry = process(time)
    registry.models.create("acme", "bert", by="ana")
    upload(registry, "m/1", b"x")
    registry.webhooks.create("acme", by="ana", name="hook", url=URL, events=[("MODEL_VERSION", "CREATED")])
    time.now += 11  # other processes know the webhook
    register(registry, "m/1", check=pending())
    return registry


def promised(dynamodb: Any) -> int:
    return sum(item["pk"]["S"] == "#outbox" for item in items(dynamodb))


def bodies(sqs: Any, *urls: str) -> list[dict[str, Any]]:
    return [json.loads(record["body"]) for url in urls for record in received(sqs, url)]


def unreachable(**_: Any) -> None:
    raise EndpointConnectionError(endpoint_url="sqs")


def test_what_is_sent_is_promised_no_more(
    registry: Registry, dynamodb: Any, sqs: Any, events_url: str, queue_url: str, calls: Counter[str]
) -> None:
    assert promised(dynamodb) == 2
    calls.clear()
    registry.outbox.deliver()
    assert calls == {"BatchWriteItem": 1}
    assert promised(dynamodb) == 0
    assert len(bodies(sqs, events_url, queue_url)) == 2


def test_what_a_process_left_behind_is_sent_by_another_once_it_is_old(
    registry: Registry, process: Process, time: Time, dynamodb: Any, sqs: Any, events_url: str, queue_url: str
) -> None:
    del registry
    other = process(time)
    assert other.outbox.sweep() == 0, "its process may be sending it"
    time.now += OLD
    assert other.outbox.sweep() == 2
    assert (promised(dynamodb), len(bodies(sqs, events_url, queue_url))) == (0, 2)
    assert other.outbox.sweep() == 0


def test_a_letter_that_is_sent_again_has_its_id(
    registry: Registry, process: Process, time: Time, sqs: Any, events_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(registry.records.table, "remove", lambda _keys: None)  # the process dies here
        registry.outbox.deliver()
    time.now += OLD
    assert process(time).outbox.sweep() == 2
    told = bodies(sqs, events_url)
    assert (len(told), len({one["id"] for one in told})) == (2, 1)


def test_one_process_at_a_time_sends_what_is_old(
    registry: Registry, process: Process, time: Time, sqs: Any, queue_url: str
) -> None:
    time.now += OLD
    assert registry.outbox._lease() is not None  # and it dies
    assert process(time).outbox.sweep() == 0
    time.now += LEASE_MS / 1000
    assert process(time).outbox.sweep() == 2
    assert len(bodies(sqs, queue_url)) == 1


def test_a_queue_out_of_reach_fails_no_change_and_loses_nothing(
    registry: Registry, time: Time, dynamodb: Any, sqs: Any, queue_url: str
) -> None:
    sqs.meta.events.register("before-call.sqs", unreachable)
    try:
        with pytest.raises(EndpointConnectionError):
            registry.outbox.deliver()
        time.now += OLD
        with pytest.raises(EndpointConnectionError):
            registry.outbox.sweep()
    finally:
        sqs.meta.events.unregister("before-call.sqs", unreachable)
    assert promised(dynamodb) == 2
    time.now += LEASE_MS / 1000 + 1
    assert registry.outbox.sweep() == 2
    assert len(bodies(sqs, queue_url)) == 1


def test_a_letter_that_cannot_be_sent_or_read_holds_up_no_other(
    registry: Registry, time: Time, dynamodb: Any, sqs: Any, events_url: str, queue_url: str
) -> None:
    sqs.delete_queue(QueueUrl=events_url)
    stranger = {"pk": {"S": "#outbox"}, "sk": {"S": "0"}, "letter": {"S": '{"type": "of a later release"}'}}
    dynamodb.put_item(TableName="registry", Item=stranger)
    time.now += OLD
    assert registry.outbox.sweep() == 1
    assert len(bodies(sqs, queue_url)) == 1
    assert promised(dynamodb) == 2


def test_any_text_passes_the_queue(registry: Registry, sqs: Any, events_url: str, time: Time) -> None:
    text = "\x00\x1f\ufffe\uffff\U0001f600"
    registry.webhooks.create("acme", by="ana", name="hook", url=URL, events=[("MODEL_VERSION_TAG", "SET")])
    time.now += 11
    registry.version_tags.set("acme", "bert", 1, "k", text, by="ana")
    registry.outbox.deliver()
    (told,) = (body for body in bodies(sqs, events_url) if body["event"] == "MODEL_VERSION_TAG.SET")
    assert told["data"]["value"] == text


def test_the_postman_sends_at_once_and_what_was_left_when_it_starts(
    registry: Registry, process: Process, time: Time, dynamodb: Any, sqs: Any, queue_url: str
) -> None:
    time.now += OLD
    other = process(time)
    postman = Postman(other.outbox, sweep_seconds=60)
    postman.start()
    try:
        register(other, "m/1", check=pending())
    finally:
        postman.stop(20)
    assert promised(dynamodb) == 0
    assert {body["version"] for body in bodies(sqs, queue_url)} == {1, 2}
    del registry


def test_a_request_that_comes_twice_is_inspected_once(
    registry: Registry, sqs: Any, queue_url: str, tmp_path: Path
) -> None:
    registry.outbox.deliver()
    records = received(sqs, queue_url)
    function = Function(registry, Inspections(registry, scratch=tmp_path))
    for _ in range(2):
        assert function.answer({"Records": records}) == {"batchItemFailures": []}
    entries = registry.trails.of_model("acme", "bert").entries
    assert [entry.action for entry in entries].count("validation.recorded") == 1
