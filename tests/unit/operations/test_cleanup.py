"""What a failed deployment left behind goes; what holds anything, or belongs to anybody, stays."""

import json
from typing import Any

import pytest
import typer
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from anfl.cli.main import app
from operations.cleanup import search
from operations.cleanup.finding import Action, Finding
from operations.cleanup.search import agreed, clean_up, leftovers
from operations.cloud import Cloud
from operations.errors import RefusedError
from stacks.settings import load
from stacks.units import Region

HERE = Region.EU_WEST_1
PROD = load("prod")


def found(cloud: Cloud) -> dict[tuple[str, str], Finding]:
    return {(finding.kind, finding.name): finding for finding in leftovers(cloud, PROD, [HERE])}


def clean(cloud: Cloud) -> dict[str, str | None]:
    said: dict[str, str | None] = {}
    clean_up(leftovers(cloud, PROD, [HERE]), tell=lambda finding, problem: said.update({finding.name: problem}))
    return said


def make_bucket(cloud: Cloud, name: str, **more: Any) -> None:
    s3 = cloud.client("s3", HERE)
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": HERE})
    if more:
        s3.put_bucket_encryption(Bucket=name, **more)


def make_table(cloud: Cloud, name: str, *, protected: bool = False) -> None:
    cloud.client("dynamodb", HERE).create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        DeletionProtectionEnabled=protected,
    )


def make_key(cloud: Cloud, *, going: bool) -> str:
    kms = cloud.client("kms", HERE)
    key = str(kms.create_key(Description="ANFL prod: data at rest")["KeyMetadata"]["KeyId"])
    if going:
        kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=30)
    return key


def test_nothing_is_left_over_in_a_new_account(cloud: Cloud) -> None:
    assert leftovers(cloud, PROD, PROD.regions) == []


def test_an_empty_bucket_table_log_group_and_vault_go(cloud: Cloud) -> None:
    make_bucket(cloud, "anfl-prod-vectors-1-eu-west-1")
    make_table(cloud, "anfl-prod-auth", protected=True)
    for name in ("anfl-prod-eu-west-1-service-Logs-x", "aws-waf-logs-anfl-prod-x", "/aws/lambda/anfl-prod-auth"):
        cloud.client("logs", HERE).create_log_group(logGroupName=name)
    cloud.client("backup", HERE).create_backup_vault(BackupVaultName="anfl-prod-recovery")
    assert set(clean(cloud).values()) == {None}
    assert leftovers(cloud, PROD, [HERE]) == []
    assert cloud.client("s3", HERE).list_buckets()["Buckets"] == []
    assert cloud.client("dynamodb", HERE).list_tables()["TableNames"] == []
    assert cloud.client("logs", HERE).describe_log_groups()["logGroups"] == []


def test_what_holds_anything_stays(cloud: Cloud) -> None:
    s3, logs = cloud.client("s3", HERE), cloud.client("logs", HERE)
    for name in ("objects", "versions", "uploads"):
        make_bucket(cloud, f"anfl-prod-{name}")
    s3.put_object(Bucket="anfl-prod-objects", Key="a", Body=b"1")
    s3.put_bucket_versioning(Bucket="anfl-prod-versions", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="anfl-prod-versions", Key="a", Body=b"1")
    s3.delete_object(Bucket="anfl-prod-versions", Key="a")
    s3.create_multipart_upload(Bucket="anfl-prod-uploads", Key="a")
    make_table(cloud, "anfl-prod-auth")
    cloud.client("dynamodb", HERE).put_item(TableName="anfl-prod-auth", Item={"pk": {"S": "a"}})
    logs.create_log_group(logGroupName="anfl-prod-logs")
    logs.create_log_stream(logGroupName="anfl-prod-logs", logStreamName="a")
    assert {finding.action for finding in found(cloud).values()} == {Action.LEAVE}
    assert len(found(cloud)) == 5
    assert clean(cloud) == {}
    assert len(found(cloud)) == 5


def test_what_is_another_environments_is_not_even_found(cloud: Cloud) -> None:
    for name in ("anfl-dev-vectors", "anfl-production-vectors", "prod-vectors"):
        make_bucket(cloud, name)
        make_table(cloud, name)
    assert leftovers(cloud, PROD, [HERE]) == []


def test_what_came_to_hold_something_since_it_was_found_stays(cloud: Cloud) -> None:
    make_table(cloud, "anfl-prod-auth")
    findings = leftovers(cloud, PROD, [HERE])
    cloud.client("dynamodb", HERE).put_item(TableName="anfl-prod-auth", Item={"pk": {"S": "a"}})
    clean_up(findings, tell=lambda *_: None)
    assert cloud.client("dynamodb", HERE).list_tables()["TableNames"] == ["anfl-prod-auth"]


def test_what_somebody_else_has_deleted_since_is_as_wanted(cloud: Cloud) -> None:
    make_bucket(cloud, "anfl-prod-vectors")
    findings = leftovers(cloud, PROD, [HERE])
    cloud.client("s3", HERE).delete_bucket(Bucket="anfl-prod-vectors")
    assert clean_up(findings, tell=lambda *_: None) == 0


def test_one_failure_holds_up_nothing_else() -> None:
    def fail() -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "DeleteBucket")

    done: list[str] = []
    findings = [
        Finding(region=HERE, kind="bucket", name="a", action=Action.DELETE, why="", act=fail),
        Finding(region=HERE, kind="bucket", name="b", action=Action.DELETE, why="", act=lambda: done.append("b")),
    ]
    said: dict[str, str | None] = {}
    assert clean_up(findings, tell=lambda finding, problem: said.update({finding.name: problem})) == 1
    assert done == ["b"]
    assert "AccessDenied" in str(said["a"])


def test_interrupted_it_goes_on_when_it_is_repeated(cloud: Cloud) -> None:
    make_bucket(cloud, "anfl-prod-a")
    make_table(cloud, "anfl-prod-b")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clean_up(leftovers(cloud, PROD, [HERE]), tell=interrupt)
    assert set(found(cloud)) == {("bucket", "anfl-prod-a")}
    assert clean(cloud) == {"anfl-prod-a": None}
    assert found(cloud) == {}


def template(**resources: dict[str, Any]) -> str:
    return json.dumps({"Resources": resources})


def test_what_a_stack_that_is_well_has_stays_though_it_is_empty_and_in_another_region(cloud: Cloud) -> None:
    """A replica has the name of the table, which stands in a stack of the primary region."""
    stack = {"StackName": "anfl-prod-global-data", "TemplateBody": template(Table=TABLE)}
    cloud.client("cloudformation", "us-east-1").create_stack(**stack)
    make_table(cloud, "anfl-prod-auth")
    assert leftovers(cloud, PROD, PROD.regions) == []


TABLE = {
    "Type": "AWS::DynamoDB::Table",
    "Properties": {
        "TableName": "anfl-prod-auth",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    },
}


def test_what_a_stack_has_come_to_have_between_question_and_answer_stays(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody deployed meanwhile: a stack that is well holds the very table, empty as it is."""
    make_table(cloud, "anfl-prod-auth")

    def confirm(*_: object, **__: object) -> bool:
        stack = {"StackName": "anfl-prod-global-data", "TemplateBody": template(Table=TABLE)}
        cloud.client("cloudformation", "us-east-1").create_stack(**stack)
        return True

    monkeypatch.setattr(typer, "confirm", confirm)
    monkeypatch.setattr("operations.cloud.Cloud", lambda: cloud)
    result = CliRunner().invoke(app, ["cleanup", "--failed", "--env", "prod", "--region", HERE])
    assert result.exit_code == 0, result.output
    assert cloud.client("dynamodb", HERE).list_tables()["TableNames"] == ["anfl-prod-auth"]


def test_what_nobody_was_asked_about_stays(cloud: Cloud) -> None:
    make_bucket(cloud, "anfl-prod-a")
    findings = leftovers(cloud, PROD, [HERE])
    make_bucket(cloud, "anfl-prod-b")
    assert [finding.name for finding in agreed(findings, leftovers(cloud, PROD, [HERE]))] == ["anfl-prod-a"]


def test_a_failed_stack_that_has_been_deployed_since_it_was_found_stays(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.cloudformation.models import Stack

    name = "anfl-prod-eu-west-1-storage"
    cloudformation = cloud.client("cloudformation", HERE)
    with monkeypatch.context() as failing:
        failing.setattr(Stack, "mark_creation_complete", lambda stack: setattr(stack, "status", "ROLLBACK_COMPLETE"))
        cloudformation.create_stack(StackName=name, TemplateBody=template(Queue={"Type": "AWS::SQS::Queue"}))
    findings = leftovers(cloud, PROD, [HERE])
    assert [(finding.name, finding.action) for finding in findings] == [(name, Action.DELETE)]
    cloudformation.delete_stack(StackName=name)
    cloudformation.create_stack(StackName=name, TemplateBody=template(Queue={"Type": "AWS::SQS::Queue"}))
    said: dict[str, str | None] = {}
    assert clean_up(findings, tell=lambda finding, problem: said.update({finding.name: problem})) == 1
    assert "CREATE_COMPLETE by now" in str(said[name])
    assert [stack["StackName"] for stack in cloudformation.describe_stacks()["Stacks"]] == [name]


def test_while_something_is_deployed_nothing_is_judged(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.cloudformation.models import Stack

    monkeypatch.setattr(Stack, "mark_creation_complete", lambda _stack: None)
    queue = template(Queue={"Type": "AWS::SQS::Queue"})
    cloud.client("cloudformation", HERE).create_stack(StackName="anfl-prod-eu-west-1-storage", TemplateBody=queue)
    with pytest.raises(RefusedError, match=r"anfl-prod-eu-west-1-storage in eu-west-1 \(CREATE_IN_PROGRESS\)"):
        leftovers(cloud, PROD, [HERE])


def test_a_stack_that_was_prepared_and_given_up_goes_but_not_while_it_may_be_carried_out(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "anfl-prod-eu-west-1-storage"
    body = template(Queue={"Type": "AWS::SQS::Queue"})
    cloudformation = cloud.client("cloudformation", HERE)
    cloudformation.create_change_set(StackName=name, ChangeSetName="first", ChangeSetType="CREATE", TemplateBody=body)
    with pytest.raises(RefusedError, match="REVIEW_IN_PROGRESS"):
        leftovers(cloud, PROD, [HERE])
    monkeypatch.setattr(search, "_REVIEW_SECONDS", 0.0)
    assert found(cloud)["stack", name].action is Action.DELETE
    assert clean(cloud) == {name: None}
    assert cloudformation.describe_stacks()["Stacks"] == []


def test_a_key_that_is_going_is_saved_where_something_is_under_it(cloud: Cloud) -> None:
    key = make_key(cloud, going=True)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    make_bucket(cloud, "anfl-prod-vectors", ServerSideEncryptionConfiguration={"Rules": [rule]})
    cloud.client("s3", HERE).put_object(Bucket="anfl-prod-vectors", Key="a", Body=b"1")
    finding = found(cloud)["key", key]
    assert finding.action is Action.CANCEL
    assert "bucket anfl-prod-vectors" in finding.why
    assert clean(cloud) == {key: None}
    assert cloud.client("kms", HERE).describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"


def test_a_key_that_is_going_and_opens_nothing_here_is_reported_with_its_date(cloud: Cloud) -> None:
    key = make_key(cloud, going=True)
    finding = found(cloud)["key", key]
    assert finding.action is Action.LEAVE
    date = cloud.client("kms", HERE).describe_key(KeyId=key)["KeyMetadata"]["DeletionDate"].date()
    assert f"it goes by itself on {date}" in finding.why


def test_a_key_is_never_deleted_and_its_alias_is(cloud: Cloud) -> None:
    key = make_key(cloud, going=False)
    kms = cloud.client("kms", HERE)
    kms.create_alias(AliasName="alias/anfl-prod-data", TargetKeyId=key)
    kms.create_alias(AliasName="alias/anfl-dev-data", TargetKeyId=key)
    assert found(cloud)["key", key].action is Action.LEAVE
    assert clean(cloud) == {"alias/anfl-prod-data": None}
    names = {alias["AliasName"] for alias in kms.list_aliases()["Aliases"] if alias.get("TargetKeyId") == key}
    assert names == {"alias/anfl-dev-data"}
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"
