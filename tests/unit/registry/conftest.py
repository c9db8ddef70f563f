"""A registry over an AWS in memory."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from moto import mock_aws

from anfl.registry.clock import now
from anfl.registry.queues import Queues
from anfl.registry.registry import Registry, build_registry
from anfl.registry.sealed_secrets import SealedSecrets
from local.tables import create_table
from tests.unit.crypto.wrapping import FakeTransit
from tests.unit.turns import take_turns

TABLE = "registry"
BUCKET = "artifacts"
PUBLIC = "93.184.216.34"
"""What every webhook's host resolves to."""


@pytest.fixture(name="clients", scope="session")
def _clients() -> dict[str, Any]:
    """Made once, because that is slow; where their requests go is decided as they are sent."""
    session = boto3.session.Session(
        aws_access_key_id="testing", aws_secret_access_key="testing", region_name="us-east-1"
    )
    return {name: session.client(name) for name in ("dynamodb", "s3", "sqs")}


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    take_turns(monkeypatch)
    with mock_aws():
        yield


_BEFORE = "before-parameter-build.dynamodb"
AUDITED = ("#models", "#versions", "#webhooks", "#policies", "#keys")
"""Ends of partitions whose items change with an entry of the audit, as does what hangs off a model (``#model#``)."""


def _is_audited(partition: str) -> bool:
    return partition.endswith(AUDITED) or "#model#" in partition


def _every_change_has_one_entry(params: dict[str, Any], model: Any, **_: Any) -> None:
    """Watches each write of each test: a change of a record stands in one transaction with one entry, and reversely."""
    if model.name == "TransactWriteItems":
        writes = [next(iter(action.items())) for action in params["TransactItems"]]
        entries = [item for _, item in writes if "#audit#" in _partition(item)]
        changed = [item for kind, item in writes if kind != "ConditionCheck" and _is_audited(_partition(item))]
        ends = [item for _, item in writes if _partition(item).endswith(("#models", "#chains"))]
        assert len(entries) == bool(changed), params
        for entry in entries:
            assert "attribute_not_exists" in entry["ConditionExpression"]
            sequence = int(entry["Item"]["sk"]["S"])
            deleted = '"action":"model.deleted"' in entry["Item"]["entry"]["S"]
            revisions = {int(item["Item"]["revision"]["N"]) for item in ends if "revision" in item.get("Item", {})}
            assert revisions == (set() if deleted else {sequence}), params
    elif model.name in ("PutItem", "UpdateItem", "DeleteItem"):
        assert not _is_audited(_partition(params)), params
        assert "#audit#" not in _partition(params), params
    elif model.name == "BatchWriteItem":
        for writes in params["RequestItems"].values():
            for write in writes:
                partition = write["DeleteRequest"]["Key"]["pk"]["S"]
                assert not partition.endswith("#models"), params
                assert "#audit#" not in partition, params


@contextmanager
def past_the_registry(dynamodb: Any) -> Iterator[None]:
    """Meanwhile the table may be changed as no registry does."""
    dynamodb.meta.events.unregister(_BEFORE, unique_id=_BEFORE)
    yield
    dynamodb.meta.events.register(_BEFORE, _every_change_has_one_entry, unique_id=_BEFORE)


def _partition(write: dict[str, Any]) -> str:
    return str((write.get("Item") or write["Key"])["pk"]["S"])


@pytest.fixture(name="dynamodb")
def _dynamodb(clients: dict[str, Any]) -> Any:
    client = clients["dynamodb"]
    client.meta.events.register(_BEFORE, _every_change_has_one_entry, unique_id=_BEFORE)
    create_table(client, TABLE)
    return client


@pytest.fixture(name="s3")
def _s3(clients: dict[str, Any]) -> Any:
    client = clients["s3"]
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return client


class Time:
    """A clock that stands: seconds, and milliseconds for the registry."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def milliseconds(self) -> int:
        return round(1000 * self.now)


@pytest.fixture(name="time")
def _time() -> Time:
    return Time()


@pytest.fixture(name="transit")
def _transit() -> FakeTransit:
    return FakeTransit()


@pytest.fixture(name="process")
def _process(
    dynamodb: Any, s3: Any, sqs: Any, queue_url: str, events_url: str, transit: FakeTransit
) -> Callable[..., Registry]:
    """Makes registries that share nothing but the store, as processes would; with a `Time`, by that clock."""

    def make(time: Time | None = None) -> Registry:
        monotonic = {} if time is None else {"monotonic": time}
        return build_registry(
            table=TABLE,
            dynamodb=dynamodb,
            bucket=BUCKET,
            s3=s3,
            resolver=lambda _: [PUBLIC],
            courier=lambda webhooks: Queues(
                webhooks, webhooks_url=events_url, validation_url=queue_url, client=sqs, **monotonic
            ),
            clock=now if time is None else time.milliseconds,
            secrets=lambda table: SealedSecrets(table, transit, region="us-east-1", **monotonic),
        )

    return make


@pytest.fixture(name="registry")
def _registry(process: Callable[[], Registry]) -> Registry:
    return process()


@pytest.fixture(name="sqs")
def _sqs(clients: dict[str, Any]) -> Any:
    return clients["sqs"]


@pytest.fixture(name="queue_url")
def _queue_url(sqs: Any) -> str:
    return str(sqs.create_queue(QueueName="validation")["QueueUrl"])


@pytest.fixture(name="events_url")
def _events_url(sqs: Any) -> str:
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    return str(sqs.create_queue(QueueName="webhooks", Attributes={"RedrivePolicy": redrive})["QueueUrl"])


@pytest.fixture(name="parts")
def _parts(process: Any, dynamodb: Any, s3: Any, sqs: Any, events_url: str, queue_url: str) -> dict[str, Any]:
    """What a machine of `tests.unit.registry.mortality` runs on."""
    return {
        "process": staticmethod(process),
        "dynamodb": dynamodb,
        "s3": s3,
        "sqs": sqs,
        "events_url": events_url,
        "queue_url": queue_url,
    }


def received(sqs: Any, url: str) -> list[dict[str, Any]]:
    """Takes all messages that are visible, as Lambda hands them over."""
    records: list[dict[str, Any]] = []
    while messages := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["ApproximateReceiveCount"]
    ).get("Messages"):
        records += [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
            }
            for message in messages
        ]
    return records


@pytest.fixture(name="calls")
def _calls(dynamodb: Any) -> Iterator[Counter[str]]:
    """Counts the calls to DynamoDB by operation; ``clear()`` begins anew."""
    counted: Counter[str] = Counter()

    def count(model: Any, **_: Any) -> None:
        counted[model.name] += 1

    dynamodb.meta.events.register("before-call.dynamodb", count, unique_id="count")
    yield counted
    dynamodb.meta.events.unregister("before-call.dynamodb", unique_id="count")


def items(dynamodb: Any) -> list[dict[str, Any]]:
    """Everything in the table."""
    found: list[dict[str, Any]] = []
    for page in dynamodb.get_paginator("scan").paginate(TableName=TABLE):
        found += page["Items"]
    return found


def records(dynamodb: Any) -> list[dict[str, Any]]:
    """Everything in the table but the audit, which outlives what it tells of."""
    return [item for item in items(dynamodb) if not re.search("#audit#|#chains$", item["pk"]["S"])]
