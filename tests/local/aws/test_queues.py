"""Queues trigger functions as their event source mappings say."""

import json
from collections.abc import Callable

from tests.local.aws.conftest import Aws

Eventually = Callable[[Callable[[], object]], None]


def _send(aws: Aws, run: str, **ids: bool) -> None:
    bodies = [json.dumps({"run": run, "id": name, "fail": fail}) for name, fail in ids.items()]
    entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)]
    aws.client("sqs").send_message_batch(QueueUrl=_url(aws, "Work"), Entries=entries)


def _url(aws: Aws, logical_id: str) -> str:
    return str(aws.resource("functions", logical_id)["physical_id"])


def _waiting(aws: Aws, logical_id: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = aws.client("sqs").get_queue_attributes(QueueUrl=_url(aws, logical_id), AttributeNames=names)
    return sum(int(value) for value in answer["Attributes"].values())


def test_messages_that_succeed_are_gone(aws: Aws, function: str, eventually: Eventually) -> None:
    assert function
    _send(aws, "good", a=False, b=False)
    eventually(lambda: aws.noted("good") == {"a#1", "b#1"})
    eventually(lambda: _waiting(aws, "Work") == 0)


def test_only_reported_failures_come_again_and_end_in_the_dead_letter_queue(
    aws: Aws, function: str, eventually: Eventually
) -> None:
    assert function
    _send(aws, "partial", good=False, bad=True)
    eventually(lambda: _waiting(aws, "Dead") == 1)
    assert aws.noted("partial") == {"good#1", "bad#1", "bad#2"}
    message = aws.client("sqs").receive_message(QueueUrl=_url(aws, "Dead"))["Messages"][0]
    assert json.loads(message["Body"])["id"] == "bad"
    assert _waiting(aws, "Work") == 0
