"""The life of ``prod`` in an account: a failed start, one region, all of them, one less, none.

The tests go on from one another, in this order: each deployment stands on what the one before left.
"""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from typing import Any

import boto3
import pytest

from anfl.auth.table import AuthTable, PublishedKey
from anfl.crypto.wrapping_versions import WrappingVersions
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.model import CollectionSettings
from operations.errors import OperationError
from stacks.settings import ROOT
from tests.local.deployment.conftest import ACCOUNT, Account

REGIONS = ("us-west-1", "us-east-1", "eu-west-1")
REMOVED = "us-west-1"
"""Its neighbours in the ring: eu-west-1, whose guardian it is, and us-east-1, which is its guardian."""
REMAIN = ("us-east-1", "eu-west-1")
TABLES = ("anfl-prod-catalogue", "anfl-prod-registry", "anfl-prod-auth", "anfl-prod-class-text-384")
LAYERS = 10
PLACEHOLDERS = ROOT / "docs" / "placeholders.md"
CHANGED = {
    "anfl-prod-global-data",
    *(f"anfl-prod-{region}-{layer}" for region in REMAIN for layer in ("storage", "telemetry", "recovery")),
    *(f"anfl-prod-replication-{region}" for region in REMAIN),
    "anfl-prod-global-watch-eu-west-1",
    "anfl-prod-eu-west-1-edge",
}
"""What is deployed anew without it: services, Vault, networks and security of the others are not."""
REMOVE = ("regions", "remove", REMOVED, "--env", "prod", "--drain-seconds", "0")


def bucket(kind: str, region: str = REMOVED) -> str:
    return f"anfl-prod-{kind}-{ACCOUNT}-{region}"


def findings(account: Account, *options: str) -> dict[tuple[str, str], dict[str, object]]:
    """(kind, name) → what ``anfl cleanup --failed --json`` says of it."""
    done = account.anfl("cleanup", "--failed", "--env", "prod", "--json", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return {(found["kind"], found["name"]): found for found in json.loads(done.stdout)["findings"]}


def catalogue_in(account: Account, region: str) -> Catalogue:
    session = boto3.session.Session(aws_access_key_id="local", aws_secret_access_key="local")
    dynamodb = session.resource("dynamodb", region_name=region, endpoint_url=account.aws.endpoint)
    return Catalogue(dynamodb.Table("anfl-prod-catalogue"))


def tables_in(account: Account, region: str) -> set[str]:
    return set(account.aws.client("dynamodb", region).list_tables()["TableNames"])


def published(account: Account) -> list[dict[str, Any]]:
    """What Route 53 itself answers with in every zone, names without the last dot."""
    route53 = account.aws.client("route53")
    zones = [zone["Id"] for zone in route53.list_hosted_zones()["HostedZones"]]
    return [
        record | {"Name": record["Name"].rstrip(".")}
        for zone in zones
        for page in route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
        for record in page["ResourceRecordSets"]
    ]


# --- a first deployment that fails ----------------------------------------------------------------------------------


def test_a_first_deployment_that_fails_leaves_what_blocks_the_next_one(account: Account) -> None:
    """Somebody has the name of a bucket already; the other bucket of the stack was made, and is retained."""
    s3 = account.aws.client("s3")
    s3.create_bucket(Bucket=bucket("artifacts"), CreateBucketConfiguration={"LocationConstraint": REMOVED})
    s3.put_object(Bucket=bucket("artifacts"), Key="of-somebody", Body=b"data")
    storage = f"anfl-prod-{REMOVED}-storage"
    with pytest.raises(OperationError, match=storage):
        account.deploy(storage)
    assert account.stacks()[storage, REMOVED] == "ROLLBACK_COMPLETE"
    s3.head_bucket(Bucket=bucket("vectors"))
    with pytest.raises(OperationError):
        account.deploy(storage)


def test_a_dry_run_shows_what_would_be_done_and_does_nothing(account: Account) -> None:
    before = account.stacks()
    found = findings(account, "--dry-run")
    assert found["stack", f"anfl-prod-{REMOVED}-storage"]["action"] == "delete"
    assert found["bucket", bucket("vectors")]["action"] == "delete"
    assert found["bucket", bucket("artifacts")]["action"] == "leave"
    assert "holds objects" in str(found["bucket", bucket("artifacts")]["why"])
    assert {action for (kind, _), f in found.items() if (action := f["action"]) != "leave" and kind != "log group"} == {
        "delete"
    }
    assert account.stacks() == before
    account.aws.client("s3").head_bucket(Bucket=bucket("vectors"))


def test_without_an_answer_nothing_is_cleaned_up(account: Account) -> None:
    done = account.anfl("cleanup", "--failed", "--env", "prod", given="n\n")
    assert done.returncode == 1
    assert "Nothing was done." in done.stderr
    assert f"anfl-prod-{REMOVED}-storage" in done.stdout
    assert (f"anfl-prod-{REMOVED}-storage", REMOVED) in account.stacks()


def test_cleaning_up_interrupted_and_repeated_leaves_what_is_well_and_what_holds_data(account: Account) -> None:
    well = {place: status for place, status in account.stacks().items() if not place[0].endswith("-storage")}
    assert len(well) >= 5
    arguments = account.command("cleanup", "--failed", "--env", "prod", "--yes")
    with subprocess.Popen(arguments, env=account.variables(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()  # one thing is done; at the next it is interrupted
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (0, 130), first
    again = findings(account, "--yes")
    assert all(found["done"] for found in again.values() if found["action"] != "leave")
    assert account.stacks() == well
    assert set(findings(account, "--dry-run")) >= {("bucket", bucket("artifacts"))}
    s3 = account.aws.client("s3")
    assert bucket("vectors") not in {found["Name"] for found in s3.list_buckets()["Buckets"]}
    assert s3.get_object(Bucket=bucket("artifacts"), Key="of-somebody")["Body"].read() == b"data"


# --- one region, then all -------------------------------------------------------------------------------------------


def test_a_region_is_deployed_alone_after_the_global_layer(account: Account) -> None:
    s3 = account.aws.client("s3")
    s3.delete_object(Bucket=bucket("artifacts"), Key="of-somebody")
    findings(account, "--yes")  # and now that it holds nothing, this bucket too
    account.deploy("anfl-prod-global-*")
    account.deploy(f"anfl-prod-{REMOVED}-*")
    stacks = account.stacks()
    assert set(stacks.values()) == {"CREATE_COMPLETE"}
    regional = [name for name, _ in stacks if "-global-" not in name]
    assert len(regional) == LAYERS
    assert all(name.startswith(f"anfl-prod-{REMOVED}-") for name in regional)


def test_every_stack_of_every_region_is_deployed(account: Account) -> None:
    account.deploy("**")
    stacks = account.stacks()
    assert set(stacks.values()) == {"CREATE_COMPLETE"}
    declared = json.loads((account.templates / "manifest.json").read_text())["artifacts"]
    assert {name for name, _ in stacks} == {
        name for name, found in declared.items() if found["type"] == "aws:cloudformation:stack"
    }
    for region in REGIONS:
        assert tables_in(account, region) >= set(TABLES)
        for kind in ("vectors", "artifacts"):
            rules = account.aws.client("s3", region).get_bucket_replication(Bucket=bucket(kind, region))
            targets = {rule["ID"] for rule in rules["ReplicationConfiguration"]["Rules"]}
            assert targets == {f"to-{other}" for other in REGIONS if other != region}


def test_a_damaged_objects_copies_come_from_the_regions_that_have_it(account: Account) -> None:
    """Under the function's own role, which the embedded AWS holds it to."""
    place, key = "us-west-1", "acme/words/0123/log/00000001/00000000000000000001"
    s3, sqs = account.aws.client("s3", place), account.aws.client("sqs", place)
    for region in REGIONS:
        account.aws.client("s3", region).put_object(
            Bucket=bucket("vectors", region), Key=key, Body=region.encode(), Tagging="t=1"
        )
    queue = sqs.get_queue_url(QueueName="anfl-prod-copies")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"key": key}))
    until = time.monotonic() + 60
    bodies: set[str] = set()
    while not bodies >= set(REGIONS) - {place} and time.monotonic() < until:
        time.sleep(0.2)
        listed = s3.list_objects_v2(Bucket=bucket("vectors", place), Prefix=f"_copies/{key}/").get("Contents", [])
        objects = [s3.get_object(Bucket=bucket("vectors", place), Key=each["Key"]) for each in listed]
        bodies = {each["Body"].read().decode() for each in objects}
    assert set(REGIONS) - {place} <= bodies <= set(REGIONS), "the others' own, and what was replicated to them"
    assert s3.get_object(Bucket=bucket("vectors", place), Key=key)["Body"].read().decode() in REGIONS


def test_the_types_that_were_only_placeholders_are_those_that_are_published(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    found = account.aws.get("/_anfl/placeholders")
    counted = Counter(resource["type"] for resource in account.aws.get("/_anfl/resources"))
    with capsys.disabled():
        print(f"\nPlaceholders only, {len(found)} of {len(counted)} types:")  # noqa: T201
        for kind in found:
            print(f"  {kind} ({counted[kind]})")  # noqa: T201
    head, _, listed = PLACEHOLDERS.read_text().partition("\n- ")
    if os.environ.get("UPDATE_PLACEHOLDERS"):
        PLACEHOLDERS.write_text(f"{head}\n- " + "\n- ".join(found) + "\n")
    else:
        assert listed.rstrip().split("\n- ") == found, "it has changed: make deploy-check UPDATE=1"


def test_a_deployment_of_what_stands_already_leaves_nothing_for_cleanup(account: Account) -> None:
    assert {kind for (kind, _), found in findings(account, "--dry-run").items() if found["action"] != "leave"} == set()


# --- one region less ------------------------------------------------------------------------------------------------


def test_the_primary_region_is_not_removed(account: Account) -> None:
    done = account.anfl("regions", "remove", "us-east-1", "--env", "prod", "--confirm", "prod")
    assert done.returncode == 6
    assert "us-east-1 is the primary region of prod" in done.stderr


def test_a_region_that_the_settings_still_have_is_not_removed(account: Account) -> None:
    done = account.anfl(*REMOVE, "--confirm", "prod")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "anfl: environments/prod.yaml: us-west-1 does not stand in deployment.removed_regions"
    )


def test_a_region_is_not_removed_while_something_has_its_home_there(account: Account) -> None:
    overlay = account.settings / "environments" / "prod.yaml"
    overlay.write_text(overlay.read_text().replace("deployment:\n", f"deployment:\n  removed_regions: [{REMOVED}]\n"))
    catalogue, elsewhere = catalogue_in(account, REMOVED), catalogue_in(account, "eu-west-1")
    collection, _ = catalogue.create("acme", CollectionSettings(name="words", dimension=3))
    elsewhere.create("acme", CollectionSettings(name="pictures", dimension=3))
    keys = AuthTable(name="anfl-prod-auth", client=account.aws.client("dynamodb", "eu-west-1"))
    for kid in (f"{REMOVED}.1", "eu-west-1.1"):
        keys.publish(PublishedKey(kid=kid, jwk={"kty": "EC"}, published_at=1))
    versions = WrappingVersions(table="anfl-prod-auth", client=account.aws.client("dynamodb", "eu-west-1"))
    for region in (REMOVED, "eu-west-1"):
        versions.register(region, now=1)
    queue = account.aws.client("sqs").get_queue_url(QueueName="anfl-prod-validation-dead-letters")["QueueUrl"]
    account.aws.client("sqs").send_message(QueueUrl=queue, MessageBody="{}")
    before = account.stacks()
    done = account.anfl(*REMOVE, "--confirm", "prod")
    assert done.returncode == 6
    assert "us-west-1 is home to:" in done.stderr
    assert "collection acme/words: copy what is still needed" in done.stderr
    assert "queue anfl-prod-validation-dead-letters: 1 message:" in done.stderr
    assert "pictures" not in done.stderr
    assert account.stacks() == before
    catalogue.delete(collection)
    account.aws.client("sqs").purge_queue(QueueUrl=queue)


def test_another_name_than_the_environments_removes_nothing(account: Account) -> None:
    before = account.stacks()
    done = account.anfl(*REMOVE, given="production\n")
    assert done.returncode == 2
    assert "'production' is not 'prod': nothing was done." in done.stderr
    assert account.stacks() == before
    plan = [line.split() for line in done.stdout.splitlines() if line.startswith(("destroy", "deploy"))]
    assert {stack for action, stack, _ in plan if action == "deploy"} == CHANGED
    assert {(stack, region) for action, stack, region in plan if action == "destroy"} == {
        place for place in before if place[1] == REMOVED or place[0] == f"anfl-prod-global-watch-{REMOVED}"
    }


def test_a_removal_that_was_interrupted_goes_on_and_takes_one_region_alone(account: Account) -> None:
    s3 = account.aws.client("s3")
    s3.put_object(Bucket=bucket("vectors"), Key="kept", Body=b"data")
    with subprocess.Popen(
        account.command(*REMOVE[:-1], "1", "--confirm", "prod"),
        env=account.variables(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        told = []
        for line in process.stderr:
            told.append(line)
            if line.startswith("deploy "):  # its doors are closed, the others are letting go of it
                break
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130, said
    assert any(line.startswith(f"{REMOVED} is drained; ") for line in told)
    assert "Interrupted: repeat the command to go on from here." in said
    assert "Traceback" not in said
    begun = account.stacks()
    assert (f"anfl-prod-{REMOVED}-edge", REMOVED) not in begun
    assert (f"anfl-prod-{REMOVED}-service", REMOVED) in begun

    done = account.anfl(*REMOVE, "--confirm", "prod")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(f"{REMOVED} is no part of prod any more.\n")
    assert bucket("vectors") in done.stdout, "what stays behind is said"


def test_of_the_removed_region_nothing_is_left_but_what_is_retained(account: Account) -> None:
    stacks = account.stacks()
    assert not any(place == REMOVED for _, place in stacks)
    assert not any(REMOVED in name for name, _ in stacks)
    assert tables_in(account, REMOVED) & set(TABLES) == set(), "replicas go with the region"
    assert account.aws.client("s3").get_object(Bucket=bucket("vectors"), Key="kept")["Body"].read() == b"data"
    assert account.aws.client("elbv2").describe_load_balancers()["LoadBalancers"] == []
    assert account.aws.client("lambda").list_functions()["Functions"] == []


def test_the_other_regions_and_the_global_layer_stand(account: Account) -> None:
    stacks = account.stacks()
    assert set(stacks.values()) <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    for region in REMAIN:
        assert sum(name.startswith(f"anfl-prod-{region}-") for name, _ in stacks) == LAYERS
        assert (f"anfl-prod-replication-{region}", region) in stacks
        assert tables_in(account, region) >= set(TABLES)
        functions = account.aws.client("lambda", region).list_functions()["Functions"]
        assert {"anfl-prod-auth", "anfl-prod-watch"} <= {function["FunctionName"] for function in functions}
    for name in ("dns", "people", "keys", "data", "key-leader", "edge"):
        assert stacks[f"anfl-prod-global-{name}", "us-east-1"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
    for table in account.resources("AWS::DynamoDB::GlobalTable"):
        assert {replica["Region"] for replica in table["properties"]["Replicas"]} == set(REMAIN)
    keys = AuthTable(name="anfl-prod-auth", client=account.aws.client("dynamodb", "us-east-1"))
    assert [key.kid for key in keys.published_keys()] == ["eu-west-1.1"], "nobody believes the removed region's tokens"
    versions = WrappingVersions(table="anfl-prod-auth", client=account.aws.client("dynamodb", "us-east-1")).state()
    assert versions.participants.keys() == {"eu-west-1"}, "no wrapping key waits for the removed region"
    assert versions.versions.keys() == {1}, "the leader has begun with the first deployment"
    catalogue = account.aws.client("dynamodb", "us-east-1").scan(TableName="anfl-prod-catalogue")
    assert [item["sk"]["S"] for item in catalogue["Items"]] == ["C#pictures"], "what lives elsewhere is untouched"


def test_names_and_the_accelerator_lead_to_the_remaining_regions_alone(account: Account) -> None:
    records = published(account)
    assert {record["Region"] for record in records if record["Name"] == "api.lib.aeonova.com"} == set(REMAIN)
    for region in REMAIN:
        assert f"{region}.api.lib.aeonova.com" in {record["Name"] for record in records}
    assert not any(REMOVED in record["Name"] for record in records)
    groups = account.resources("AWS::GlobalAccelerator::EndpointGroup")
    assert {group["properties"]["EndpointGroupRegion"] for group in groups} == set(REMAIN)
    assert len(account.resources("AWS::GlobalAccelerator::Listener")) == 1


def test_the_remaining_regions_replicate_to_and_watch_over_one_another(account: Account) -> None:
    for region in REMAIN:
        (other,) = set(REMAIN) - {region}
        for kind in ("vectors", "artifacts"):
            rules = account.aws.client("s3", region).get_bucket_replication(Bucket=bucket(kind, region))
            assert [rule["ID"] for rule in rules["ReplicationConfiguration"]["Rules"]] == [f"to-{other}"]
        copies = {
            action["DestinationBackupVaultArn"].split(":")[3]
            for plan in account.resources("AWS::Backup::BackupPlan")
            if plan["region"] == region
            for rule in plan["properties"]["BackupPlan"]["BackupPlanRule"]
            for action in rule["CopyActions"]
        }
        assert copies == {other}
        watched = {
            check["properties"]["HealthCheckConfig"]["AlarmIdentifier"]["Region"]
            for check in account.resources("AWS::Route53::HealthCheck")
            if check["region"] == region and "AlarmIdentifier" in check["properties"]["HealthCheckConfig"]
        }
        assert watched == {other}
        assert (f"anfl-prod-global-watch-{region}", other) in account.stacks()


def test_a_removed_region_is_removed_already_when_it_is_removed_again(account: Account) -> None:
    before = account.stacks()
    done = account.anfl(*REMOVE, "--confirm", "prod", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["stays"] == []
    assert account.stacks().keys() == before.keys()


# --- none -----------------------------------------------------------------------------------------------------------


def test_prod_is_not_destroyed_by_another_name_or_none(account: Account) -> None:
    before = account.stacks()
    for arguments, given in ((("--confirm", "dev"), ""), ((), "yes\n"), ((), "")):
        done = account.anfl("destroy", "--env", "prod", *arguments, given=given)
        assert done.returncode in (1, 2), done.stdout + done.stderr
        assert account.stacks() == before


def test_prod_is_destroyed_by_its_name_and_its_data_stays(account: Account) -> None:
    done = account.anfl("destroy", "--env", "prod", "--json", given="prod\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert account.stacks() == {}
    stays = {row["name"] for row in json.loads(done.stdout)["stays"]}
    assert stays >= {*TABLES, bucket("vectors", "eu-west-1"), bucket("artifacts", "us-east-1")}
    for region in REMAIN:
        assert tables_in(account, region) >= set(TABLES)
    found = findings(account, "--dry-run")
    assert found["table", "anfl-prod-catalogue"]["action"] == "leave"
    assert "holds items" in str(found["table", "anfl-prod-catalogue"]["why"])
    assert found["bucket", bucket("vectors")]["action"] == "leave"
