"""What roles and keys allow, as statements: reading, writing, and nothing beyond."""

import json
from typing import Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_sqs as sqs
from constructs import grants
from constructs.camel import camel
from constructs.container_service import minimum_healthy_percent
from constructs.key_policy import EVENTS, NOTIFIERS, data_key_policy, key_policy, seal_key_policy, wrapping_key_policy
from constructs.location import bucket_arn
from constructs.metrics import result
from constructs.rest_routes import invocation_uri
from constructs.statements import Statement

from anfl.resources import replication_rule
from tests.infrastructure.conftest import CONTEXT

ACCOUNT = "000000000000"
KEY_ARN = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/mrk-1"


@pytest.fixture
def stack() -> Stack:
    return Stack(App(context=CONTEXT), "Test", env=Environment(region="eu-west-1", account=ACCOUNT))


def said(stack: Stack, *statements: Statement) -> list[dict[str, Any]]:
    """As they stand in a policy; lists where one value would do."""
    found: list[dict[str, Any]] = stack.resolve([statement.document() for statement in statements])
    for statement in found:
        for part in ("Action", "Resource"):
            statement[part] = statement[part] if isinstance(statement[part], list) else [statement[part]]
    return found


def verbs(statements: list[dict[str, Any]]) -> set[str]:
    return {action.split(":")[1] for statement in statements for action in statement["Action"]}


def test_a_key_is_used_by_way_of_s3_for_what_is_in_the_buckets_alone(stack: Stack) -> None:
    one, both = said(
        stack,
        grants.key_by_s3("Here", KEY_ARN, ["kms:Decrypt"], buckets=["a"], regions=["eu-west-1"]),
        grants.key_by_s3("Both", KEY_ARN, ["kms:Decrypt"], buckets=["a", "b"], regions=["eu-west-1", "us-east-1"]),
    )
    assert (one["Sid"], one["Resource"], verbs([one])) == ("Here", [KEY_ARN], {"Decrypt"})
    assert one["Condition"]["StringEquals"] == {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}
    assert both["Condition"] == {
        "StringEquals": {"kms:ViaService": ["s3.eu-west-1.amazonaws.com", "s3.us-east-1.amazonaws.com"]},
        "StringLike": {
            "kms:EncryptionContext:aws:s3:arn": [
                "arn:aws:s3:::a",
                "arn:aws:s3:::b",
                "arn:aws:s3:::a/*",
                "arn:aws:s3:::b/*",
            ]
        },
    }


def test_items_of_a_table_are_used_as_said_and_its_indexes_are_not(stack: Stack) -> None:
    (use,) = said(stack, *grants.table(stack, "a-table", ["GetItem", "Query"]))
    assert (use["Sid"], verbs([use])) == ("TableATable", {"GetItem", "Query"})
    assert use["Resource"] == [f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/a-table"]


def test_items_of_a_partition_are_used_as_said_and_others_are_not(stack: Stack) -> None:
    one, other = said(stack, *grants.partitions(stack, "a-table", {"jwks": ["Query", "PutItem"], "a-b": ["GetItem"]}))
    assert [(use["Sid"], verbs([use])) for use in (one, other)] == [
        ("TableATableJwks", {"PutItem", "Query"}),
        ("TableATableAB", {"GetItem"}),
    ]
    assert one["Resource"] == other["Resource"] == [f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/a-table"]
    for use, partition in ((one, "jwks"), (other, "a-b")):
        assert use["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [partition]}}


def test_an_action_is_held_to_the_partitions_that_are_like_a_pattern(stack: Stack) -> None:
    (use,) = said(stack, *grants.held(stack, "a-table", {"PutItem": ["*#a", "b"]}))
    assert (use["Sid"], verbs([use])) == ("TableATablePutItem", {"PutItem"})
    assert use["Resource"] == [f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/a-table"]
    assert use["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["*#a", "b"]}}


def test_rows_of_classes_are_used_as_said_and_searched_by_their_index_alone(stack: Stack) -> None:
    table = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table"
    use, search = said(stack, *grants.vector_classes(stack, ["one", "two"], ["PutItem", "Query"]))
    assert (verbs([use]), use["Resource"]) == ({"PutItem", "Query"}, [f"{table}/one", f"{table}/two"])
    assert verbs([search]) == {"SearchVectors"}
    assert search["Resource"] == [f"{table}/one/index/nearest", f"{table}/two/index/nearest"]
    assert not grants.vector_classes(stack, [], ["PutItem"]), "a statement without resources is refused"


@pytest.mark.parametrize(("access", "writes"), [(grants.Access.READ, False), (grants.Access.WRITE, True)])
def test_objects_are_read_or_written_and_the_bucket_itself_is_left_as_it_is(
    stack: Stack, access: grants.Access, writes: bool
) -> None:
    found = said(stack, *grants.bucket("a-bucket", "Rows", access))
    assert ("PutObject" in verbs(found), "DeleteObject" in verbs(found)) == (writes, writes)
    assert "GetObject" in verbs(found)
    assert not [verb for verb in verbs(found) if verb.startswith(("PutBucket", "DeleteBucket"))]
    assert "DeleteObjectVersion" not in verbs(found), "versions outlive whoever may delete objects"
    seeing = said(stack, *grants.bucket("a-bucket", "Rows", access, sees_parts=True))
    assert verbs(seeing) - verbs(found) == {"ListMultipartUploadParts"}


def test_sending_is_not_consuming(stack: Stack) -> None:
    queue = sqs.Queue(stack, "Q")
    assert verbs(said(stack, *grants.send(queue, "Q"))) == {"SendMessage"}
    consuming = verbs(said(stack, *grants.consume(queue, "Q", delays=False)))
    assert consuming == {"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"}
    delaying = verbs(said(stack, *grants.consume(queue, "Q", delays=True)))
    assert delaying - consuming == {"ChangeMessageVisibility"}


def test_the_key_is_used_by_way_of_named_services_alone(stack: Stack) -> None:
    (use,) = said(stack, *grants.data_key(stack, KEY_ARN, ["s3", "sqs"]))
    assert use["Resource"] == [KEY_ARN]
    assert use["Condition"] == {
        "StringEquals": {"kms:ViaService": ["s3.eu-west-1.amazonaws.com", "sqs.eu-west-1.amazonaws.com"]}
    }
    assert not [verb for verb in verbs([use]) if "Grant" in verb or "Policy" in verb or "Deletion" in verb]


def test_small_rights_name_their_one_thing(stack: Stack) -> None:
    (count,) = said(stack, *grants.count_tasks(stack, "cluster/service"))
    assert count["Resource"] == [f"arn:aws:ecs:eu-west-1:{ACCOUNT}:service/cluster/service"]
    (publish,) = said(stack, *grants.publish_metrics("Own"))
    assert publish["Condition"] == {"StringEquals": {"cloudwatch:namespace": "Own"}}
    (logs,) = said(stack, *grants.write_logs("arn:group"))
    assert (logs["Resource"], verbs([logs])) == (["arn:group"], {"CreateLogStream", "PutLogEvents"})


def policy_of(stack: Stack, statements: list[Statement]) -> dict[str, dict[str, Any]]:
    return {statement["Sid"]: statement for statement in said(stack, *statements)}


def test_the_data_key_lets_logs_and_notifiers_of_this_account_in(stack: Stack) -> None:
    found = policy_of(stack, key_policy(stack))
    assert found["LogGroups"]["Principal"] == {"Service": "logs.eu-west-1.amazonaws.com"}
    assert f":logs:eu-west-1:{ACCOUNT}:" in json.dumps(found["LogGroups"]["Condition"])
    assert set(found["Notifications"]["Principal"]["Service"]) == set(NOTIFIERS)
    assert found["Notifications"]["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    assert found["Events"]["Principal"]["Service"] == EVENTS
    assert found["Events"]["Action"] == found["Notifications"]["Action"]
    assert f":sns:eu-west-1:{ACCOUNT}:*" in json.dumps(found["Events"]["Condition"]), "it names no source"
    assert "aws:Source" not in json.dumps(found["Events"])


def test_the_data_key_lets_auto_scaling_open_the_disks_of_instances_too(stack: Stack) -> None:
    found = policy_of(stack, data_key_policy(stack))
    assert set(found) == {*policy_of(stack, key_policy(stack)), "DisksOfNodes", "DisksOfNodesAttached"}


def test_the_seal_lets_auto_scaling_open_disks_and_no_service_of_the_data_key(stack: Stack) -> None:
    found = policy_of(stack, seal_key_policy(stack))
    assert set(found) == {"AccountIdentitiesAsIamAllows", "DisksOfNodes", "DisksOfNodesAttached"}
    for name in ("DisksOfNodes", "DisksOfNodesAttached"):
        condition = found[name]["Condition"]
        assert condition["StringEquals"] == {"kms:CallerAccount": ACCOUNT}
        assert "AWSServiceRoleForAutoScaling" in json.dumps(condition["ArnEquals"])
    assert found["DisksOfNodesAttached"]["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}


def test_the_key_of_wrapping_keys_lets_no_service_in(stack: Stack) -> None:
    assert set(policy_of(stack, wrapping_key_policy(stack))) == {"AccountIdentitiesAsIamAllows"}


@pytest.mark.parametrize(
    ("name", "id_"), [("vector-store", "VectorStore"), ("ecr.api", "EcrApi"), ("ACCESS_DENIED", "AccessDenied")]
)
def test_a_name_becomes_an_id(name: str, id_: str) -> None:
    assert camel(name) == id_


def test_names_that_others_must_spell_alike() -> None:
    assert replication_rule("eu-west-1") == "to-eu-west-1"
    assert bucket_arn("b") == "arn:aws:s3:::b"
    assert "functions/arn:f/invocations" in invocation_uri("eu-west-1", "arn:f")


@pytest.mark.parametrize(("tasks", "percent"), [(1, 0), (2, 50), (3, 66), (10, 66)])
def test_a_deployment_can_always_stop_one_task(tasks: int, percent: int) -> None:
    assert minimum_healthy_percent(tasks) == percent
    assert -(-tasks * percent // 100) <= tasks - 1, "ECS rounds up"


def test_an_alarm_compares_the_one_value_that_is_returned(stack: Stack) -> None:
    value = stack.resolve(result("label", "MAX([a])"))
    assert (value["id"], value["expression"], value["returnData"]) == ("value", "MAX([a])", True)
