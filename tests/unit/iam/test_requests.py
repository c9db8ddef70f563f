"""Requests as botocore sends them, and what IAM is asked about them."""

from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest

from local.iam import requests
from local.iam.calls import Call
from local.iam.errors import UnknownRequestError
from local.iam.requests.request import Request, whole

REGION = "us-west-1"
IN = f"{REGION}:123456789012"
BUCKET = "arn:aws:s3:::b"


class SentError(Exception):
    """Thrown instead of sending."""

    def __init__(self, request: AWSPreparedRequest) -> None:
        super().__init__()
        self.request = request


def instead(request: AWSPreparedRequest, **_: object) -> None:
    raise SentError(request)


@cache
def client(service: Any) -> Any:
    session = boto3.session.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name=REGION)
    made = session.client(service, endpoint_url="http://127.0.0.1:9")
    made.meta.events.register("before-send", instead)
    return made


def asked(service: str, operation: str, parameters: dict[str, Any]) -> set[tuple[str, str]]:
    """(action, resource) of each call that an operation needs; but those to keys."""
    return {(call.action, call.resource) for call in calls(service, operation, parameters)}


def calls(service: str, operation: str, parameters: dict[str, Any]) -> tuple[Call, ...]:
    """What an operation needs, as botocore sends it."""
    made = client(service)
    with pytest.raises(SentError) as caught:
        getattr(made, operation)(**parameters)
    sent = caught.value.request
    url, name = urlsplit(sent.url), made.meta.service_model.signing_name
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    given = Request(
        service=name,
        region=REGION,
        method=sent.method,
        path=url.path,
        query=query,
        headers={key.lower(): text(value).decode() for key, value in sent.headers.items()},
        body=text(sent.body) if whole(name, sent.method, query) else b"",
    )
    return requests.calls(given)


def text(given: Any) -> bytes:
    return given.encode() if isinstance(given, str) else bytes(given or b"")


ITEM = {"pk": {"S": "a"}}
TABLE, OTHER = f"arn:aws:dynamodb:{IN}:table/t", f"arn:aws:dynamodb:{IN}:table/u"
QUEUE = "http://127.0.0.1:9/123456789012/q"
UPDATE = {"TableName": "t", "Key": ITEM, "UpdateExpression": "SET a = b"}


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"),
    [
        ("dynamodb", "get_item", {"TableName": "t", "Key": ITEM}, {("dynamodb:GetItem", TABLE)}),
        ("dynamodb", "get_item", {"TableName": TABLE, "Key": ITEM}, {("dynamodb:GetItem", TABLE)}),
        ("dynamodb", "query", {"TableName": "t", "IndexName": "index"}, {("dynamodb:Query", f"{TABLE}/index/index")}),
        (
            "dynamodb",
            "search_vectors",
            {"TableName": "t", "IndexName": "index", "SearchVector": [{"N": "1"}], "TopK": 1},
            {("dynamodb:SearchVectors", f"{TABLE}/index/index")},
        ),
        (
            "dynamodb",
            "batch_get_item",
            {"RequestItems": {"t": {"Keys": [ITEM]}, "u": {"Keys": [ITEM]}}},
            {("dynamodb:BatchGetItem", TABLE), ("dynamodb:BatchGetItem", OTHER)},
        ),
        (
            "dynamodb",
            "transact_write_items",
            {
                "TransactItems": [
                    {"Put": {"TableName": "t", "Item": ITEM}},
                    {"Update": UPDATE},
                    {"Delete": {"TableName": "u", "Key": ITEM}},
                    {"ConditionCheck": {"TableName": "u", "Key": ITEM, "ConditionExpression": "a"}},
                ]
            },
            {
                ("dynamodb:PutItem", TABLE),
                ("dynamodb:UpdateItem", TABLE),
                ("dynamodb:DeleteItem", OTHER),
                ("dynamodb:ConditionCheckItem", OTHER),
            },
        ),
        (
            "dynamodb",
            "transact_get_items",
            {"TransactItems": [{"Get": {"TableName": "t", "Key": ITEM}}]},
            {("dynamodb:GetItem", TABLE)},
        ),
        (
            "s3",
            "get_object",
            {"Bucket": "b", "Key": "k/l"},
            {("s3:GetObject", f"{BUCKET}/k/l"), ("s3:ListBucket", BUCKET)},
        ),
        (
            "s3",
            "head_object",
            {"Bucket": "b", "Key": "k", "VersionId": "v"},
            {("s3:GetObjectVersion", f"{BUCKET}/k"), ("s3:ListBucket", BUCKET)},
        ),
        ("s3", "put_object", {"Bucket": "b", "Key": "k", "Body": b"x"}, {("s3:PutObject", f"{BUCKET}/k")}),
        (
            "s3",
            "put_object",
            {"Bucket": "b", "Key": "k", "Tagging": "a=b", "ACL": "private"},
            {
                ("s3:PutObject", f"{BUCKET}/k"),
                ("s3:PutObjectTagging", f"{BUCKET}/k"),
                ("s3:PutObjectAcl", f"{BUCKET}/k"),
            },
        ),
        (
            "s3",
            "copy_object",
            {"Bucket": "b", "Key": "k", "CopySource": {"Bucket": "c", "Key": "s", "VersionId": "v"}},
            {("s3:PutObject", f"{BUCKET}/k"), ("s3:GetObjectVersion", "arn:aws:s3:::c/s")},
        ),
        ("s3", "delete_object", {"Bucket": "b", "Key": "k"}, {("s3:DeleteObject", f"{BUCKET}/k")}),
        (
            "s3",
            "delete_object",
            {"Bucket": "b", "Key": "k", "VersionId": "v"},
            {("s3:DeleteObjectVersion", f"{BUCKET}/k")},
        ),
        (
            "s3",
            "delete_objects",
            {"Bucket": "b", "Delete": {"Objects": [{"Key": "a&b"}, {"Key": "c", "VersionId": "v"}]}},
            {("s3:DeleteObject", f"{BUCKET}/a&b"), ("s3:DeleteObjectVersion", f"{BUCKET}/c")},
        ),
        ("s3", "list_objects_v2", {"Bucket": "b", "Prefix": "x", "StartAfter": "y"}, {("s3:ListBucket", BUCKET)}),
        ("s3", "list_object_versions", {"Bucket": "b", "Prefix": "x"}, {("s3:ListBucketVersions", BUCKET)}),
        ("s3", "head_bucket", {"Bucket": "b"}, {("s3:ListBucket", BUCKET)}),
        ("s3", "create_multipart_upload", {"Bucket": "b", "Key": "k"}, {("s3:PutObject", f"{BUCKET}/k")}),
        (
            "s3",
            "upload_part",
            {"Bucket": "b", "Key": "k", "UploadId": "u", "PartNumber": 1, "Body": b"x"},
            {("s3:PutObject", f"{BUCKET}/k")},
        ),
        (
            "s3",
            "complete_multipart_upload",
            {
                "Bucket": "b",
                "Key": "k",
                "UploadId": "u",
                "MultipartUpload": {"Parts": [{"ETag": "e", "PartNumber": 1}]},
            },
            {("s3:PutObject", f"{BUCKET}/k")},
        ),
        (
            "s3",
            "abort_multipart_upload",
            {"Bucket": "b", "Key": "k", "UploadId": "u"},
            {("s3:AbortMultipartUpload", f"{BUCKET}/k")},
        ),
        (
            "s3",
            "list_parts",
            {"Bucket": "b", "Key": "k", "UploadId": "u"},
            {("s3:ListMultipartUploadParts", f"{BUCKET}/k")},
        ),
        (
            "s3",
            "put_bucket_replication",
            {
                "Bucket": "b",
                "ReplicationConfiguration": {
                    "Role": "arn:aws:iam::123456789012:role/r",
                    "Rules": [{"Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::c"}}],
                },
            },
            {("s3:PutReplicationConfiguration", BUCKET), ("iam:PassRole", "arn:aws:iam::123456789012:role/r")},
        ),
        ("sqs", "send_message", {"QueueUrl": QUEUE, "MessageBody": "x"}, {("sqs:SendMessage", f"arn:aws:sqs:{IN}:q")}),
        ("sqs", "get_queue_url", {"QueueName": "q"}, {("sqs:GetQueueUrl", f"arn:aws:sqs:{IN}:q")}),
        (
            "sqs",
            "delete_message_batch",
            {"QueueUrl": QUEUE, "Entries": [{"Id": "1", "ReceiptHandle": "r"}]},
            {("sqs:DeleteMessage", f"arn:aws:sqs:{IN}:q")},
        ),
        ("kms", "encrypt", {"KeyId": "k", "Plaintext": b"x"}, {("kms:Encrypt", f"arn:aws:kms:{IN}:key/k")}),
        ("ssm", "get_parameter", {"Name": "/a/b"}, {("ssm:GetParameter", f"arn:aws:ssm:{IN}:parameter/a/b")}),
        (
            "secretsmanager",
            "get_secret_value",
            {"SecretId": "s"},
            {("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{IN}:secret:s-??????")},
        ),
        (
            "sns",
            "publish",
            {"TopicArn": f"arn:aws:sns:{IN}:t", "Message": "x"},
            {("sns:Publish", f"arn:aws:sns:{IN}:t")},
        ),
        (
            "ecs",
            "describe_services",
            {"cluster": "c", "services": ["s"]},
            {("ecs:DescribeServices", f"arn:aws:ecs:{IN}:service/c/s")},
        ),
        (
            "lambda",
            "invoke",
            {"FunctionName": f"arn:aws:lambda:{IN}:function:f"},
            {("lambda:InvokeFunction", f"arn:aws:lambda:{IN}:function:f")},
        ),
        ("lambda", "invoke", {"FunctionName": "f"}, {("lambda:InvokeFunction", f"arn:aws:lambda:{IN}:function:f")}),
        ("sts", "get_caller_identity", {}, set()),
        (
            "sts",
            "assume_role",
            {"RoleArn": "arn:aws:iam::123456789012:role/r", "RoleSessionName": "ss"},
            {("sts:AssumeRole", "arn:aws:iam::123456789012:role/r")},
        ),
    ],
)
def test_what_an_operation_needs(
    service: str, operation: str, parameters: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    assert asked(service, operation, parameters) == expected


def test_operations_of_services_that_sign_by_another_name() -> None:
    metric = {"Namespace": "ANFL", "MetricData": [{"MetricName": "m", "Value": 1}]}
    assert asked("cloudwatch", "put_metric_data", metric) == {("cloudwatch:PutMetricData", "*")}
    machine = f"arn:aws:states:{IN}:stateMachine:m"
    assert asked("stepfunctions", "start_execution", {"stateMachineArn": machine}) == {
        ("states:StartExecution", machine)
    }


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("dynamodb", "list_tables", {}),
        ("s3", "list_buckets", {}),
        ("s3", "get_object_acl", {"Bucket": "b", "Key": "k"}),
        ("s3", "put_bucket_versioning", {"Bucket": "b", "VersioningConfiguration": {"Status": "Enabled"}}),
        ("sqs", "purge_queue", {"QueueUrl": QUEUE}),
        ("kms", "create_grant", {"KeyId": "k", "GranteePrincipal": "p", "Operations": ["Decrypt"]}),
        ("lambda", "list_functions", {}),
        ("sts", "get_session_token", {}),
        ("ecs", "list_clusters", {}),
        ("athena", "list_work_groups", {}),
    ],
)
def test_what_no_table_has_is_not_guessed(service: str, operation: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(UnknownRequestError, match=r"add it to local/iam/requests/\w+.py"):
        asked(service, operation, parameters)


def item(key: str) -> dict[str, Any]:
    return {"pk": {"S": key}, "sk": {"S": "other"}}


@pytest.mark.parametrize(
    ("operation", "parameters", "keys"),
    [
        ("get_item", {"TableName": "t", "Key": item("a")}, {("GetItem", ("a",))}),
        ("put_item", {"TableName": "t", "Item": item("a")}, {("PutItem", ("a",))}),
        (
            "update_item",
            {"TableName": "t", "Key": item("a"), "UpdateExpression": "SET x = y"},
            {("UpdateItem", ("a",))},
        ),
        ("delete_item", {"TableName": "t", "Key": item("a")}, {("DeleteItem", ("a",))}),
        (
            "query",
            {
                "TableName": "t",
                "KeyConditionExpression": "begins_with(#s, :s) AND #p = :p",
                "ExpressionAttributeNames": {"#p": "pk", "#s": "sk"},
                "ExpressionAttributeValues": {":p": {"S": "a"}, ":s": {"S": "b"}},
            },
            {("Query", ("a",))},
        ),
        (
            "query",
            {
                "TableName": "t",
                "KeyConditionExpression": "sk = :s AND pk = :p",
                "ExpressionAttributeValues": {":p": {"S": "a"}, ":s": {"S": "b"}},
            },
            {("Query", ("a",))},
        ),
        (
            "batch_get_item",
            {"RequestItems": {"t": {"Keys": [item("a"), item("b")]}}},
            {("BatchGetItem", ("a", "b"))},
        ),
        (
            "batch_write_item",
            {"RequestItems": {"t": [{"PutRequest": {"Item": item("a")}}, {"DeleteRequest": {"Key": item("b")}}]}},
            {("BatchWriteItem", ("a", "b"))},
        ),
        (
            "transact_write_items",
            {
                "TransactItems": [
                    {"Put": {"TableName": "t", "Item": item("a")}},
                    {"Put": {"TableName": "t", "Item": item("b")}},
                    {"Delete": {"TableName": "t", "Key": item("c")}},
                ]
            },
            {("PutItem", ("a", "b")), ("DeleteItem", ("c",))},
        ),
        ("scan", {"TableName": "t"}, {("Scan", None)}),
        ("describe_table", {"TableName": "t"}, {("DescribeTable", None)}),
    ],
)
def test_which_partitions_are_asked_for(
    operation: str, parameters: dict[str, Any], keys: set[tuple[str, tuple[str, ...] | None]]
) -> None:
    found = calls("dynamodb", operation, parameters)
    assert {(call.action.partition(":")[2], call.values("dynamodb:LeadingKeys")) for call in found} == keys


def test_a_query_of_which_nobody_can_tell_the_partition_is_refused() -> None:
    with pytest.raises(UnknownRequestError):
        calls("dynamodb", "query", {"TableName": "t", "KeyConditionExpression": "sk = :s"})


@pytest.mark.parametrize("operation", ["list_objects_v2", "list_object_versions"])
def test_what_is_listed_is_told(operation: str) -> None:
    (call,) = calls("s3", operation, {"Bucket": "b", "Prefix": "_copies/a b/"})
    assert call.values("s3:prefix") == ("_copies/a b/",)
    (call,) = calls("s3", operation, {"Bucket": "b"})
    assert call.values("s3:prefix") is None or call.values("s3:prefix") == ("",)


OBJECT = "<Object><Key>k</Key></Object>"


@pytest.mark.parametrize(
    ("body", "needed"),
    [
        (OBJECT, {"s3:DeleteObject"}),
        ("<Object ><Key>k</Key></Object >", {"s3:DeleteObject"}),
        ('<Object a="b">\n<Key\n>k</Key>\n<VersionId>v</VersionId ></Object>', {"s3:DeleteObjectVersion"}),
        ("<Object><Key><![CDATA[k]]></Key><VersionId\t/></Object>", {"s3:DeleteObject"}),
        (f"<!-- {OBJECT} -->{OBJECT}<Object><Key>&#107;</Key></Object>", {"s3:DeleteObject"}),
    ],
)
def test_no_way_of_writing_it_hides_what_is_deleted(body: str, needed: set[str]) -> None:
    found = s3("POST", "/b", "delete", f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{body}</Delete>')
    assert {(call.action, call.resource) for call in found} == {(action, f"{BUCKET}/k") for action in needed}


@pytest.mark.parametrize(
    "body",
    ["", "<Delete>", f"<Other>{OBJECT}</Other>", "<Delete><Object/></Delete>", '<Delete><Object><Key a="b">k</Key>'],
)
def test_a_deletion_that_cannot_be_read_is_none(body: str) -> None:
    with pytest.raises((KeyError, ValueError, TypeError, AttributeError)):  # which the guard refuses
        s3("POST", "/b", "delete", body)


def test_no_way_of_writing_it_hides_the_role_that_is_passed() -> None:
    body = "<ReplicationConfiguration><Role >arn:aws:iam::123456789012:role/r</Role ></ReplicationConfiguration>"
    assert {call.action for call in s3("PUT", "/b", "replication", body)} >= {"iam:PassRole"}


def s3(method: str, path: str, query: str, body: str) -> tuple[Call, ...]:
    """What a request needs that botocore would not write so."""
    sent = body.encode()
    return requests.calls(
        Request(service="s3", region=REGION, method=method, path=path, query={query: ""}, headers={}, body=sent)
    )
