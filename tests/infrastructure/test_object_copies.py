"""Whoever finds an object damaged has other regions' copies brought, by a function that can do no more."""

import json
from collections.abc import Iterator

from tests.infrastructure.conftest import Assembly, Properties, Template
from tests.infrastructure.test_functions import actions, allowed
from tests.infrastructure.test_replication import REGIONS, stacks, text

NAME = "anfl-prod-object-copier"


def copiers(prod: Assembly) -> Iterator[tuple[str, Template, Properties, dict[str, Properties]]]:
    """Of each region: its stack, its properties, and what it may do, by the statements' names."""
    for region, stack in stacks(prod):
        function = stack.only("AWS::Lambda::Function", FunctionName=NAME)
        role = function["Role"]["Fn::GetAtt"][0]
        yield region, stack, function, {statement["Sid"]: statement for statement in allowed(stack, role)}


def vectors(region: str) -> str:
    return f"arn:aws:s3:::anfl-prod-vectors-…-{region}"


def test_it_stands_outside_of_the_network_where_the_other_regions_can_be_reached(prod: Assembly) -> None:
    for region, _, function, _ in copiers(prod):
        assert "VpcConfig" not in function
        assert (function["MemorySize"], function["Timeout"]) == (256, 60)
        variables = function["Environment"]["Variables"]
        assert variables.keys() == {"ANFL_ENVIRONMENT", "VECTORS_BUCKET", "OTHER_BUCKETS"}
        assert text(variables["VECTORS_BUCKET"]) == f"anfl-prod-vectors-…-{region}"
        others = json.loads(text(variables["OTHER_BUCKETS"]))
        assert others == {other: f"anfl-prod-vectors-…-{other}" for other in REGIONS if other != region}


def test_it_reads_vectors_elsewhere_and_writes_copies_here_and_nothing_else(prod: Assembly) -> None:
    for region, _, _, statements in copiers(prod):
        may: dict[str, set[str]] = {}
        for sid, statement in statements.items():
            if sid not in ("Logs", "Trace"):
                resources = statement["Resource"]
                for action in actions(statement):
                    may.setdefault(action, set()).update(
                        map(text, resources if isinstance(resources, list) else [resources])
                    )
        others = {other for other in REGIONS if other != region}
        assert {action: found for action, found in may.items() if action.startswith("s3:")} == {
            "s3:ListBucketVersions": {vectors(other) for other in others},
            "s3:GetObjectVersion": {f"{vectors(other)}/*" for other in others},
            "s3:ListBucket": {vectors(region)},
            "s3:PutObject": {f"{vectors(region)}/_copies/*"},
        }
        assert statements["KnowCopies"]["Condition"] == {"StringLike": {"s3:prefix": "_copies/*"}}
        assert {action for action in may if action.startswith("sqs:")} == {
            *("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")
        }
        assert {action.partition(":")[0] for action in may} == {"s3", "sqs", "kms"}


def test_it_uses_keys_by_way_of_s3_for_buckets_of_vectors_alone_and_of_its_queue(prod: Assembly) -> None:
    for region, _, _, statements in copiers(prod):
        keyed = {sid: s for sid, s in statements.items() if any(a.startswith("kms:") for a in actions(s))}
        assert len(keyed) == len(REGIONS) + 1
        for sid, statement in keyed.items():
            assert "DataKey" in json.dumps(statement["Resource"]), "and no other key"
            condition = statement["Condition"]
            via = condition["StringEquals"]["kms:ViaService"]
            if sid == "DataKey":
                assert via == [f"sqs.{region}.amazonaws.com"]
                continue
            (place,) = (name for name in REGIONS if text(condition["StringLike"][CONTEXT][0]) == vectors(name))
            assert list(map(text, condition["StringLike"][CONTEXT])) == [vectors(place), f"{vectors(place)}/*"]
            wanted = ["kms:GenerateDataKey"] if place == region else ["kms:Decrypt"]
            assert actions(statement) == wanted
            assert via == (
                f"s3.{region}.amazonaws.com"
                if place == region
                else [f"s3.{place}.amazonaws.com", f"s3.{region}.amazonaws.com"]
            )


CONTEXT = "kms:EncryptionContext:aws:s3:arn"


def test_a_message_at_a_time_is_handed_to_it_six_time_outs_long(prod: Assembly) -> None:
    for region, stack, _, _ in copiers(prod):
        source = stack.only("AWS::Lambda::EventSourceMapping")
        assert source["BatchSize"] == 1
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        storage = prod[f"anfl-prod-{region}-storage"]
        queue = storage.only("AWS::SQS::Queue", QueueName="anfl-prod-copies")
        assert queue["VisibilityTimeout"] == 6 * 60
        assert "RedrivePolicy" in queue
        assert "KmsMasterKeyId" in queue


def test_those_who_read_objects_ask_and_nobody_else(prod: Assembly) -> None:
    for stack in prod.regional("service").values():
        asking = set()
        for name, policy in stack.resources("AWS::IAM::Policy").items():
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                if statement["Sid"] == "QueueCopiesSend":
                    assert actions(statement) == ["sqs:SendMessage"]
                    asking.add(name.partition("Role")[0])
        assert asking == {"VectorProcessingFunction", "VectorStoreServiceTask"}


def test_copies_are_forgotten_after_a_day(prod: Assembly) -> None:
    for stack in prod.regional("storage").values():
        (bucket,) = (b for b in stack.properties("AWS::S3::Bucket") if "vectors" in json.dumps(b["BucketName"]))
        (rule,) = (r for r in bucket["LifecycleConfiguration"]["Rules"] if r["Id"] == "forget-copies")
        assert (rule["Prefix"], rule["Status"], rule["ExpirationInDays"]) == ("_copies/", "Enabled", 1)
        assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}


def test_where_there_is_one_region_nobody_is_asked(dev: Assembly) -> None:
    for stack in dev.regional("storage").values():
        assert not any("copies" in queue["QueueName"] for queue in stack.properties("AWS::SQS::Queue"))
    for stack in dev.regional("service").values():
        assert "COPIES" not in json.dumps(stack.document)
