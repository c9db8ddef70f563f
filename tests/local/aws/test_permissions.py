"""Roles at the embedded AWS: what is enforced, and how a refusal looks to botocore."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.local.aws.conftest import REGION, Aws
from tests.local.aws.test_vector_indexes import search, template

ACCOUNT = "123456789012"
ROLE = "guarded"
BUCKET, TABLE, QUEUE = "guarded-bucket", "guarded-table", "guarded-queue"
OBJECTS = f"arn:aws:s3:::{BUCKET}/*"


@pytest.fixture(name="key", scope="module")
def _key(aws: Aws) -> str:
    """ARN of the key under which a bucket, a table and a queue are encrypted."""
    everybody_of_the_account = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    arn = {"Fn::GetAtt": ["Key", "Arn"]}
    encryption = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": arn}}
    aws.create(
        "guarded",
        {
            "Key": {
                "Type": "AWS::KMS::Key",
                "Properties": {"KeyPolicy": {"Version": "2012-10-17", "Statement": [everybody_of_the_account]}},
            },
            "Bucket": {
                "Type": "AWS::S3::Bucket",
                "Properties": {
                    "BucketName": BUCKET,
                    "BucketEncryption": {"ServerSideEncryptionConfiguration": [encryption]},
                },
            },
            "Policy": {
                "Type": "AWS::S3::BucketPolicy",
                "Properties": {
                    "Bucket": {"Ref": "Bucket"},
                    "PolicyDocument": {
                        "Statement": [
                            {
                                "Effect": "Deny",
                                "Principal": "*",
                                "Action": "s3:*",
                                "Resource": f"arn:aws:s3:::{BUCKET}/no/*",
                            }
                        ]
                    },
                },
            },
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": QUEUE, "KmsMasterKeyId": arn}},
            "Table": {
                "Type": "AWS::DynamoDB::GlobalTable",
                "Properties": {
                    "TableName": TABLE,
                    "BillingMode": "PAY_PER_REQUEST",
                    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                    "SSESpecification": {"SSEEnabled": True, "SSEType": "KMS"},
                    "Replicas": [{"Region": REGION, "SSESpecification": {"KMSMasterKeyId": arn}}],
                },
            },
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {"RoleName": ROLE, "AssumeRolePolicyDocument": {"Statement": []}},
            },
        },
    )
    return str(aws.resource("guarded", "Key")["attributes"]["Arn"])


def allow(*actions: str, on: str, **condition: Any) -> dict[str, Any]:
    more = {"Condition": condition} if condition else {}
    return {"Effect": "Allow", "Action": list(actions), "Resource": on, **more}


def may(aws: Aws, *statements: dict[str, Any]) -> None:
    """Give the role these rights and no others; at once."""
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    aws.client("iam").put_role_policy(RoleName=ROLE, PolicyName="rights", PolicyDocument=document)


@pytest.fixture(name="client")
def _client(aws: Aws, key: str) -> Iterator[Callable[[Any], Any]]:
    """Clients of a session of the role, which may do nothing yet."""
    assumed = aws.client("sts").assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{ROLE}", RoleSessionName="me")
    assert key
    yield lambda service: client_with(aws, assumed["Credentials"], service)
    may(aws, allow("sts:GetCallerIdentity", on="*"))


def client_with(aws: Aws, credentials: dict[str, str], service: Any, **changed: str) -> Any:
    given = credentials | changed
    session = boto3.session.Session(
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        region_name=REGION,
    )
    config = Config(retries={"total_max_attempts": 1}, signature_version="s3v4" if service == "s3" else None)
    return session.client(service, endpoint_url=aws.endpoint, config=config)


def refusal(call: Callable[[], Any]) -> tuple[str, int, str]:
    """(code, status, message)"""
    with pytest.raises(ClientError) as caught:
        call()
    answer: Any = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"].get("Message", "")


def test_a_refusal_looks_as_aws_makes_it(client: Callable[[Any], Any]) -> None:
    says = f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/me is not authorized to perform: "
    get = refusal(lambda: client("dynamodb").get_item(TableName=TABLE, Key={"pk": {"S": "a"}}))
    table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{TABLE}"
    why = "because no identity-based policy allows the dynamodb:GetItem action"
    assert get == ("AccessDeniedException", 400, f"{says}dynamodb:GetItem on resource: {table} {why}")
    code, status, message = refusal(lambda: client("s3").put_object(Bucket=BUCKET, Key="a&b", Body=b"x"))
    assert (code, status) == ("AccessDenied", 403)
    assert message.startswith(f"{says}s3:PutObject on resource: arn:aws:s3:::{BUCKET}/a&b because")
    assert refusal(lambda: client("s3").head_object(Bucket=BUCKET, Key="a"))[:2] == ("403", 403)
    url = f"http://127.0.0.1/{ACCOUNT}/{QUEUE}"
    assert refusal(lambda: client("sqs").send_message(QueueUrl=url, MessageBody="x"))[:2] == ("AccessDenied", 403)
    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:t"
    assert refusal(lambda: client("sns").publish(TopicArn=topic, Message="x"))[:2] == ("AuthorizationError", 403)
    assert refusal(lambda: client("lambda").invoke(FunctionName="f"))[:2] == ("AccessDeniedException", 403)
    assert refusal(lambda: client("kms").describe_key(KeyId="k"))[:2] == ("AccessDeniedException", 400)
    assert refusal(lambda: client("cloudwatch").put_metric_data(Namespace="N", MetricData=[]))[0] == "AccessDenied"


def test_what_no_table_has_is_refused_with_the_name_of_the_table(client: Callable[[Any], Any]) -> None:
    code, _, message = refusal(lambda: client("dynamodb").list_tables())
    assert code == "AccessDeniedException"
    assert "dynamodb:ListTables: add it to local/iam/requests/dynamodb.py" in message


def test_a_search_takes_a_right_to_its_index(aws: Aws, client: Callable[[Any], Any]) -> None:
    """No right to the table is one, and none to another index."""
    aws.create("searched", template("searched"))
    table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/searched"
    for elsewhere in (table, f"{table}/index/other"):
        may(aws, allow("dynamodb:SearchVectors", on=elsewhere))
        code, _, message = refusal(lambda: search(client("dynamodb"), "searched", [1, 2, 3]))
        assert code == "AccessDeniedException"
        assert f"dynamodb:SearchVectors on resource: {table}/index/nearest" in message
    may(aws, allow("dynamodb:SearchVectors", on=f"{table}/index/nearest"))
    assert search(client("dynamodb"), "searched", [1, 2, 3]) == []


def test_whoever_has_a_session_may_ask_who_it_is(client: Callable[[Any], Any]) -> None:
    assert client("sts").get_caller_identity()["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/me"


@pytest.mark.usefixtures("key")
def test_keys_of_nobody_are_refused(aws: Aws) -> None:
    assumed = aws.client("sts").assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{ROLE}", RoleSessionName="me")
    for changed in ({"AccessKeyId": "ASIANOBODY"}, {"SessionToken": "other"}):
        dynamodb = client_with(aws, assumed["Credentials"], "dynamodb", **changed)
        assert refusal(dynamodb.list_tables)[:2] == ("UnrecognizedClientException", 400)
        s3 = client_with(aws, assumed["Credentials"], "s3", **changed)
        assert refusal(lambda s3=s3: s3.get_object(Bucket=BUCKET, Key="a"))[:2] == ("InvalidAccessKeyId", 403)  # type: ignore[misc]


@pytest.mark.usefixtures("key")
def test_who_does_not_sign_is_refused(aws: Aws) -> None:
    assert httpx.get(f"{aws.endpoint}/{BUCKET}/a", trust_env=False).status_code == 403


def test_an_object_takes_rights_to_the_key_as_well(aws: Aws, client: Callable[[Any], Any], key: str) -> None:
    s3, via = client("s3"), {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
    objects = allow("s3:GetObject", "s3:PutObject", on=OBJECTS)

    def put() -> Any:
        return s3.put_object(Bucket=BUCKET, Key="a", Body=b"x")

    may(aws, objects)
    assert "kms:GenerateDataKey" in refusal(put)[2]
    may(aws, objects, allow("kms:GenerateDataKey", on=key, StringEquals=via))
    put()
    assert "kms:Decrypt" in refusal(lambda: s3.get_object(Bucket=BUCKET, Key="a"))[2]
    elsewhere = {"kms:ViaService": f"sqs.{REGION}.amazonaws.com"}
    may(aws, objects, allow("kms:Decrypt", on=key, StringEquals=elsewhere))
    assert "kms:Decrypt" in refusal(lambda: s3.get_object(Bucket=BUCKET, Key="a"))[2]
    s3.head_object(Bucket=BUCKET, Key="a")
    # A checksum is encrypted as its object is.
    assert refusal(lambda: s3.head_object(Bucket=BUCKET, Key="a", ChecksumMode="ENABLED"))[1] == 403
    may(aws, objects, allow("kms:Decrypt", on=key, StringEquals=via))
    s3.head_object(Bucket=BUCKET, Key="a", ChecksumMode="ENABLED")
    assert s3.get_object(Bucket=BUCKET, Key="a")["Body"].read() == b"x"


def test_an_absent_object_is_seen_by_who_may_list(aws: Aws, client: Callable[[Any], Any]) -> None:
    may(aws, allow("s3:GetObject", on=OBJECTS))
    code, _, message = refusal(lambda: client("s3").get_object(Bucket=BUCKET, Key="absent"))
    assert (code, "s3:ListBucket" in message) == ("AccessDenied", True)
    may(aws, allow("s3:GetObject", on=OBJECTS), allow("s3:ListBucket", on=f"arn:aws:s3:::{BUCKET}"))
    assert refusal(lambda: client("s3").get_object(Bucket=BUCKET, Key="absent"))[0] == "NoSuchKey"


def test_the_buckets_policy_is_enforced(aws: Aws, client: Callable[[Any], Any], key: str) -> None:
    may(aws, allow("s3:PutObject", on=OBJECTS), allow("kms:GenerateDataKey", on=key))
    said = refusal(lambda: client("s3").put_object(Bucket=BUCKET, Key="no/a", Body=b"x"))[2]
    assert said.endswith("with an explicit deny in a resource-based policy")


def test_the_bucket_that_is_judged_is_the_one_that_is_asked(aws: Aws, client: Callable[[Any], Any]) -> None:
    """Whatever bucket the host's name begins with."""
    aws.client("s3").create_bucket(Bucket="others", CreateBucketConfiguration={"LocationConstraint": REGION})
    aws.client("s3").put_object(Bucket="others", Key=f"{BUCKET}/b", Body=b"of others")
    may(aws, allow("s3:GetObject", on=OBJECTS), allow("s3:ListBucket", on=f"arn:aws:s3:::{BUCKET}"))
    link = client("s3").generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "b"})
    for host in ("localhost", "others.localhost", "others.s3.amazonaws.com"):
        assert httpx.get(link, headers={"host": host}, trust_env=False).status_code == 404


def test_tables_and_queues_take_rights_to_the_key_as_well(aws: Aws, client: Callable[[Any], Any], key: str) -> None:
    items = allow("dynamodb:PutItem", on=f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{TABLE}")
    messages = allow("sqs:SendMessage", on=f"arn:aws:sqs:{REGION}:{ACCOUNT}:{QUEUE}")
    dynamodb, sqs = client("dynamodb"), client("sqs")
    url = aws.client("sqs").get_queue_url(QueueName=QUEUE)["QueueUrl"]
    may(aws, items, messages)
    assert "kms:Decrypt" in refusal(lambda: dynamodb.put_item(TableName=TABLE, Item={"pk": {"S": "a"}}))[2]
    assert "kms:GenerateDataKey" in refusal(lambda: sqs.send_message(QueueUrl=url, MessageBody="x"))[2]
    may(aws, items, messages, allow("kms:Decrypt", "kms:GenerateDataKey", on=key))
    dynamodb.put_item(TableName=TABLE, Item={"pk": {"S": "a"}})
    sqs.send_message(QueueUrl=url, MessageBody="x")


def test_a_policy_that_is_not_understood_allows_nothing(aws: Aws, client: Callable[[Any], Any]) -> None:
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{TABLE}"
    may(aws, allow("dynamodb:PutItem", on=arn, IpAddress={"aws:SourceIp": "127.0.0.1"}))
    said = refusal(lambda: client("dynamodb").put_item(TableName=TABLE, Item={"pk": {"S": "a"}}))[2]
    assert "does not understand a policy: the operator IpAddress" in said


def test_links_are_good_for_what_their_signer_may(aws: Aws, client: Callable[[Any], Any], key: str) -> None:
    may(aws, allow("s3:PutObject", "s3:GetObject", on=OBJECTS), allow("kms:Decrypt", "kms:GenerateDataKey", on=key))
    client("s3").put_object(Bucket=BUCKET, Key="linked", Body=b"x")
    link = client("s3").generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "linked"})
    assert httpx.get(link, trust_env=False).content == b"x"
    may(aws, allow("s3:PutObject", on=OBJECTS))
    assert httpx.get(link, trust_env=False).status_code == 403


def test_the_ledger_tells_who_used_and_was_refused_what(aws: Aws, client: Callable[[Any], Any]) -> None:
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/*"
    may(aws, allow("dynamodb:Desc*", on=arn) | {"Sid": "Given"})
    client("dynamodb").describe_table(TableName=TABLE)
    refusal(lambda: client("dynamodb").delete_item(TableName=TABLE, Key={"pk": {"S": "a"}}))
    told = [json.loads(line) for line in (aws.logs / "permissions.jsonl").read_text().splitlines()]
    mine = [entry for entry in told if entry["role"] == ROLE]
    used = next(entry for entry in mine if entry["action"] == "dynamodb:DescribeTable")
    assert (used["outcome"], used["sid"], used["granted"], used["on"]) == ("used", "Given", "dynamodb:Desc*", arn)
    assert (mine[-1]["outcome"], mine[-1]["action"]) == ("refused", "dynamodb:DeleteItem")
    assert [ROLE, "Given", "dynamodb:Desc*", arn] in aws.get("/_anfl/grants")


def test_what_was_cut_off_is_not_carried_out_and_nobody_was_refused(aws: Aws, client: Callable[[Any], Any]) -> None:
    ledger = aws.logs / "permissions.jsonl"
    dynamodb = client("dynamodb")
    before = ledger.read_text()
    body = json.dumps({"TableName": TABLE, "Key": {"pk": {"S": "a"}}}).encode()
    request = AWSRequest("POST", aws.endpoint, {"X-Amz-Target": "DynamoDB_20120810.DeleteItem"}, body)
    SigV4Auth(dynamodb._request_signer._credentials, "dynamodb", REGION).add_auth(request)
    address = urlsplit(aws.endpoint)
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    head = f"POST / HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
    for sent in (b"", body[:-5]):
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            connection.sendall(head.encode() + sent)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.makefile("rb").read()
        assert answer.split(b" ")[1] == b"400", answer
        assert b"SerializationException" in answer
    assert ledger.read_text() == before


def test_a_workflow_has_the_rights_of_its_role(
    aws: Aws, client: Callable[[Any], Any], key: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    assert client("sts").get_caller_identity()
    url = aws.client("sqs").get_queue_url(QueueName=QUEUE)["QueueUrl"]
    send = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sqs:sendMessage",
        "Parameters": {"QueueUrl": url, "MessageBody": "x"},
        "End": True,
    }
    workflows = aws.client("stepfunctions")
    machine = workflows.create_state_machine(
        name="guarded",
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/{ROLE}",
        definition=json.dumps({"StartAt": "Send", "States": {"Send": send}}),
    )["stateMachineArn"]

    def ended(name: str) -> str:
        execution = workflows.start_execution(stateMachineArn=machine, name=name)["executionArn"]
        eventually(lambda: workflows.describe_execution(executionArn=execution)["status"] != "RUNNING")
        answer = workflows.describe_execution(executionArn=execution)
        return f"{answer['status']} {answer.get('cause', '')}"

    assert "is not authorized to perform: sqs:SendMessage" in ended("without")
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{QUEUE}"
    may(aws, allow("sqs:SendMessage", on=queue), allow("kms:Decrypt", "kms:GenerateDataKey", on=key))
    assert ended("with") == "SUCCEEDED "
