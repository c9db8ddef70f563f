"""Jobs from real messages of SQS: by the service's process, and as Lambda hands them over."""

import json
import threading
from typing import Any

import boto3
import pytest

from anfl.problems import Problem
from anfl.vectors.imports.consuming import HELD_SECONDS, Consumer
from anfl.vectors.imports.deliveries import Deliveries, delay_after, max_receives
from anfl.vectors.imports.jobs import SqsQueue
from anfl.vectors.imports.model import Cut, State
from anfl.vectors.requests import Count
from tests.unit.vectors.importing import MOST, Place, row, text_of
from tests.unit.vectors.test_store import WORDS


class Sqs:
    """A queue with dead letters."""

    def __init__(self, session: boto3.session.Session) -> None:
        self.client = session.client("sqs")
        self.dead = self.client.create_queue(QueueName="dead")["QueueUrl"]
        arn = self.client.get_queue_attributes(QueueUrl=self.dead, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MOST})
        attributes: Any = {"RedrivePolicy": policy}
        self.url = self.client.create_queue(QueueName="jobs", Attributes=attributes)["QueueUrl"]

    def waiting(self, url: str | None = None) -> tuple[int, int]:
        """Messages that can be taken, and that somebody holds."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.client.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=names)["Attributes"]
        visible, held = (int(answer[name]) for name in names)
        return visible, held


@pytest.fixture(name="sqs")
def _sqs(session: boto3.session.Session) -> Sqs:
    return Sqs(session)


@pytest.fixture(name="consumer")
def _consumer(place: Place, sqs: Sqs) -> Consumer:
    """The place's jobs and chunks go through one queue."""
    place.store.create("demo", WORDS)
    queue = SqsQueue(sqs.client, sqs.url)
    place.service.send = place.function.send = queue.send  # type: ignore[method-assign]
    return Consumer(client=sqs.client, url=sqs.url, worker=place.worker)


@pytest.fixture(name="at_once")
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is delivered again at once."""
    for module in ("consuming", "deliveries"):
        monkeypatch.setattr(f"anfl.vectors.imports.{module}.delay_after", lambda _number: 0)


def test_messages_are_over_when_they_are_carried_out(place: Place, consumer: Consumer, sqs: Sqs) -> None:
    import_id = place.started(jsonl=text_of(row("a"), row("b")))
    while consumer.once():
        pass
    assert (place.show(import_id).state, sqs.waiting()) == (State.DONE, (0, 0))


def test_more_messages_than_one_call_takes(sqs: Sqs) -> None:
    jobs = [Cut(tenant="demo", import_id=str(number)) for number in range(25)]
    SqsQueue(sqs.client, sqs.url).send(jobs)
    assert sqs.waiting() == (25, 0)


def test_messages_that_sqs_did_not_take_are_sent_again() -> None:
    class Refusing:
        """Takes the first of each call."""

        def __init__(self) -> None:
            self.taken: list[str] = []

        def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> Any:  # noqa: N803
            assert QueueUrl
            self.taken.append(Entries[0]["MessageBody"])
            return {"Failed": [{"Id": entry["Id"]} for entry in Entries[1:]]}

    client: Any = Refusing()
    SqsQueue(client, "url").send(Cut(tenant="demo", import_id=name) for name in "abc")
    assert [json.loads(body)["import_id"] for body in client.taken] == ["a", "b", "c"]


@pytest.mark.usefixtures("at_once")
def test_what_keeps_failing_ends_with_the_dead_letters_and_the_import_tells_why(
    place: Place, consumer: Consumer, sqs: Sqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = place.started(jsonl=text_of(row("a")))
    consumer.once()
    with monkeypatch.context() as patched:
        patched.setattr(place.store, "write", lambda *_, **__: 1 // 0)
        for _ in range(MOST):
            assert place.show(import_id).state is State.RUNNING
            assert consumer.once()
    failed = place.show(import_id)
    assert (failed.state, failed.failure and failed.failure.code) == (State.FAILED, "internal_error")
    assert not consumer.once()
    assert (sqs.waiting(), sqs.waiting(sqs.dead)) == ((0, 0), (1, 0))
    place.imports.redrive("demo", import_id)
    while consumer.once():
        pass
    assert place.show(import_id).state is State.DONE


@pytest.mark.usefixtures("at_once")
def test_a_message_that_is_no_job_ends_with_the_dead_letters(consumer: Consumer, sqs: Sqs) -> None:
    for body in ("no json", "{}", '{"job": "dance"}', '{"job": "cut", "tenant": 7}'):
        sqs.client.send_message(QueueUrl=sqs.url, MessageBody=body)
    while consumer.once():
        pass
    assert (sqs.waiting(), sqs.waiting(sqs.dead)) == ((0, 0), (4, 0))


def test_what_is_worked_on_is_kept_and_goes_back_when_the_process_stops(
    place: Place, consumer: Consumer, sqs: Sqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = place.started(jsonl=text_of(row("a")))
    consumer.once()
    held: list[int] = []
    change, kept = sqs.client.change_message_visibility, threading.Event()

    def noted(**given: Any) -> None:
        held.append(given["VisibilityTimeout"])
        change(**given)
        kept.set()

    monkeypatch.setattr(sqs.client, "change_message_visibility", noted)
    monkeypatch.setattr("anfl.vectors.imports.consuming.BEAT_SECONDS", 0.05)
    waits = threading.Event()

    def busy(*_: Any, **__: Any) -> Any:
        waits.set()
        raise Problem(429, "builder_behind", "slow down", retry_after=100)

    monkeypatch.setattr(place.store, "write", busy)
    running = threading.Thread(target=consumer.run, kwargs={"threads": 2})
    running.start()
    assert waits.wait(30)
    assert kept.wait(30)
    assert held[0] == HELD_SECONDS
    consumer.stop()
    running.join(30)
    assert not running.is_alive()
    assert held[-1] == 0
    assert sqs.waiting() == (1, 0)
    assert place.show(import_id).state is State.RUNNING


def record_of(sqs: Sqs) -> dict[str, Any]:
    """The next message as Lambda hands it over."""
    names: Any = ["ApproximateReceiveCount"]
    [message] = sqs.client.receive_message(QueueUrl=sqs.url, AttributeNames=names)["Messages"]
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
    }


def test_a_chunk_by_the_function(place: Place, consumer: Consumer, sqs: Sqs) -> None:
    import_id = place.started(jsonl=text_of(row("a"), row("b")))
    consumer.once()
    deliveries = Deliveries(place.worker, client=sqs.client, url=sqs.url)
    record = record_of(sqs)
    for _ in range(2):
        deliveries.carry_out(record, seconds=300)
    assert place.show(import_id).state is State.DONE
    assert place.store.count("demo", "words", Count(consistency="strong")).count == 2


@pytest.mark.usefixtures("at_once")
def test_a_chunk_that_fails_by_the_function_comes_back_soon(
    place: Place, consumer: Consumer, sqs: Sqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = place.started(jsonl=text_of(row("a")))
    consumer.once()
    deliveries = Deliveries(place.worker, client=sqs.client, url=sqs.url)
    with monkeypatch.context() as patched:
        patched.setattr(place.store, "write", lambda *_, **__: 1 // 0)
        for _ in range(MOST):
            with pytest.raises(ZeroDivisionError):
                deliveries.carry_out(record_of(sqs), seconds=300)
    assert place.show(import_id).state is State.FAILED


def test_delays_grow_and_are_bounded() -> None:
    assert all(2.5 <= delay_after(1) <= 5 for _ in range(20))
    assert all(150 <= delay_after(number) <= 300 for number in range(8, 40))


def test_the_queue_itself_knows_how_often_it_delivers(sqs: Sqs) -> None:
    assert max_receives(sqs.client, sqs.url) == MOST
