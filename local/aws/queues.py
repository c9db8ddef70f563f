"""Event source mappings: polls queues and hands their messages to functions, as Lambda's pollers do."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from moto.awslambda.models import EventSourceMapping
from moto.awslambda_simple.models import lambda_simple_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sqs.models import Message, Queue, sqs_backends

from local.aws.functions import Functions, ServiceError

POLL_SECONDS = 20
SCAN_SECONDS = 0.5
MAX_POLLERS = 2
"""Batches in flight per mapping."""


class QueuePollers:
    """Follows the mappings that are deployed. A failed batch stays invisible for the queue's visibility time-out."""

    def __init__(self, functions: Functions, *, may_poll: Callable[[str, str, str], bool]) -> None:
        """:param may_poll: whether (role of a function, region, queue) lets its messages be fetched."""
        self._functions = functions
        self._may_poll = may_poll
        self._stopping = threading.Event()
        self._followed: set[str] = set()
        threading.Thread(target=self._scan, daemon=True, name="event-sources").start()

    def close(self) -> None:
        """Take no further messages."""
        self._stopping.set()

    def _scan(self) -> None:
        while not self._stopping.wait(SCAN_SECONDS):
            for region, backend in list(lambda_simple_backends[DEFAULT_ACCOUNT_ID].items()):
                for mapping in list(backend._event_source_mappings.values()):
                    if ":sqs:" in mapping.event_source_arn and mapping.uuid not in self._followed:
                        self._followed.add(mapping.uuid)
                        for number in range(min(MAX_POLLERS, _concurrency(mapping))):
                            name = f"poller-{mapping.uuid[:8]}-{number}"
                            arguments = (region, mapping)
                            threading.Thread(target=self._poll, args=arguments, daemon=True, name=name).start()

    def _poll(self, region: str, mapping: EventSourceMapping) -> None:
        name = mapping.event_source_arn.rpartition(":")[2]
        sqs = sqs_backends[DEFAULT_ACCOUNT_ID][region]
        mappings = lambda_simple_backends[DEFAULT_ACCOUNT_ID][region]._event_source_mappings
        while not self._stopping.is_set() and mapping.uuid in mappings:
            queue = sqs.queues.get(name)
            if queue is None or not mapping.enabled or not self._permitted(region, mapping, name):
                self._stopping.wait(SCAN_SECONDS)
                continue
            size = int(mapping.batch_size)
            hidden: int = queue.visibility_timeout  # type: ignore[attr-defined]  # moto sets it by name
            # In process: this wakes on the condition that SendMessage notifies.
            messages = sqs.receive_message(name, size, POLL_SECONDS, hidden, ["All"])
            until = time.monotonic() + float(mapping.max_batch_window or 0)
            while messages and len(messages) < size and time.monotonic() < until and not self._stopping.is_set():
                queue.wait_for_messages(1)
                messages += sqs.receive_message(name, size - len(messages), 0, hidden, ["All"])
            if messages and not self._stopping.is_set():
                self._deliver(region, mapping, queue, messages)

    def _permitted(self, region: str, mapping: EventSourceMapping, queue: str) -> bool:
        with contextlib.suppress(ServiceError):
            return self._may_poll(str(self._functions.find(region, mapping.function_arn).role), region, queue)
        return False

    def _deliver(self, region: str, mapping: EventSourceMapping, queue: Queue, messages: list[Message]) -> None:
        records = [_record(message, mapping.event_source_arn, region) for message in messages]
        try:
            function = self._functions.find(region, mapping.function_arn)
            outcome = self._functions.invoke(function, json.dumps({"Records": records}).encode())
        except ServiceError:
            self._stopping.wait(1)
            return
        if outcome.error:
            return
        failed = _failures(outcome.payload, messages) if mapping.function_response_types else set()
        for message in messages:
            if message.id not in failed:
                queue.delete_message(str(message.receipt_handle))


def _concurrency(mapping: EventSourceMapping) -> int:
    scaling: dict[str, Any] = mapping.scaling_config or {}
    return int(scaling.get("MaximumConcurrency", MAX_POLLERS))


def _failures(payload: bytes, messages: list[Message]) -> set[str]:
    """Ids of the messages that the function reports as failed; an answer that makes no sense fails all of them."""
    known = {message.id for message in messages}
    try:
        answer = json.loads(payload)
        failed = {entry["itemIdentifier"] for entry in (answer or {}).get("batchItemFailures") or []}
    except (AttributeError, KeyError, TypeError, ValueError):
        return known
    return failed if failed <= known else known


def _record(message: Message, arn: str, region: str) -> dict[str, Any]:
    system = {
        "ApproximateReceiveCount": str(message.approximate_receive_count),
        "SentTimestamp": str(message.sent_timestamp),
        "SenderId": str(message.sender_id),
        "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
    }
    for name, value in (
        ("MessageGroupId", message.group_id),
        ("MessageDeduplicationId", message.deduplication_id),
        ("SequenceNumber", message.sequence_number),
    ):
        if value is not None:
            system[name] = str(value)
    return {
        "messageId": message.id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": system,
        "messageAttributes": {name: _attribute(value) for name, value in message.message_attributes.items()},
        "md5OfBody": message.body_md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": region,
    }


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    binary = value.get("BinaryValue")
    data = {"binaryValue": base64.b64encode(binary).decode()} if binary else {"stringValue": value.get("StringValue")}
    return {**data, "stringListValues": [], "binaryListValues": [], "dataType": value.get("DataType")}
