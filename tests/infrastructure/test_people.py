"""The roles of people: what each may do, and what none of them may."""

import json
import re

import pytest

from tests.infrastructure.conftest import Assembly, Properties, Template
from tests.infrastructure.test_functions import actions, allowed


@pytest.fixture(scope="module")
def people(prod: Assembly) -> Template:
    return prod["anfl-prod-global-people"]


ROLES = {"read-only": "ReadOnly", "operator": "Operator", "break-glass": "BreakGlass"}


def role(people: Template, name: str) -> Properties:
    return people.only("AWS::IAM::Role", RoleName=f"anfl-prod-{name}")


def statements(people: Template, name: str) -> list[Properties]:
    (logical,) = (key for key in people.resources("AWS::IAM::Role") if key.startswith(ROLES[name]))
    return allowed(people, logical)


def may(people: Template, name: str) -> set[str]:
    return {action for statement in statements(people, name) for action in actions(statement)}


def test_dev_has_no_roles_for_people(dev: Assembly) -> None:
    assert "anfl-dev-global-people" not in dev.stacks


@pytest.mark.parametrize("name", ROLES)
def test_a_role_is_assumed_from_inside_the_account_with_a_second_factor(people: Template, name: str) -> None:
    (statement,) = role(people, name)["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Action"] == "sts:AssumeRole"
    assert "AWS::AccountId" in json.dumps(statement["Principal"])
    assert ":root" in json.dumps(statement["Principal"])
    assert statement["Condition"]["Bool"] == {"aws:MultiFactorAuthPresent": "true"}


def test_there_are_no_other_roles_of_people(people: Template) -> None:
    assert {found["RoleName"] for found in people.properties("AWS::IAM::Role")} == {
        f"anfl-prod-{name}" for name in ROLES
    }


@pytest.mark.parametrize(("name", "seconds"), [("read-only", 14400), ("operator", 14400), ("break-glass", 3600)])
def test_sessions_end(people: Template, name: str, seconds: int) -> None:
    assert role(people, name)["MaxSessionDuration"] == seconds


def test_nobody_is_a_user_with_keys_that_could_be_shared(assembly: Assembly) -> None:
    for stack in assembly:
        kinds = {resource["Type"] for resource in stack.document["Resources"].values()}
        assert not {kind for kind in kinds if re.fullmatch(r"AWS::IAM::(AccessKey|Group|User\w*)", kind)}


def test_the_emergency_wants_a_second_factor_of_this_quarter_of_an_hour(people: Template) -> None:
    (statement,) = role(people, "break-glass")["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"]["NumericLessThan"] == {"aws:MultiFactorAuthAge": "900"}


@pytest.mark.parametrize("name", ROLES)
def test_the_boundary_holds_whatever_is_attached(people: Template, name: str) -> None:
    ((logical, boundary),) = people.resources("AWS::IAM::ManagedPolicy").items()
    assert role(people, name)["PermissionsBoundary"] == {"Ref": logical}
    assert "ManagedPolicyArns" not in role(people, name)
    (statement,) = boundary["Properties"]["PolicyDocument"]["Statement"]
    assert may(people, name) <= set(actions(statement))
    assert len(json.dumps(boundary["Properties"]["PolicyDocument"], separators=(",", ":"))) <= 6144, "IAM's limit"


def test_nobody_changes_permissions_keys_stacks_or_what_is_kept(people: Template) -> None:
    (boundary,) = people.properties("AWS::IAM::ManagedPolicy")
    (statement,) = boundary["PolicyDocument"]["Statement"]
    at_most = set(actions(statement))
    assert not any("*" in action for action in at_most)
    looking = re.compile(r"[a-z0-9-]+:(Describe|List|Get|BatchGet)\w+|logs:(FilterLogEvents|(Start|Stop)Query)")
    assert {action for action in at_most if not looking.fullmatch(action)} == {
        "cloudwatch:DisableAlarmActions",
        "cloudwatch:EnableAlarmActions",
        "ecs:StopTask",
        "ecs:UpdateService",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "lambda:InvokeFunction",
        "sqs:CancelMessageMoveTask",
        "sqs:DeleteMessage",
        "sqs:ReceiveMessage",
        "sqs:SendMessage",
        "sqs:StartMessageMoveTask",
        "ssm:PutParameter",
        "ssm:ResumeSession",
        "ssm:StartSession",
        "ssm:TerminateSession",
        "states:StartExecution",
        "states:StopExecution",
    }
    (drain,) = (s for s in statements(people, "operator") if "ssm:PutParameter" in actions(s))
    assert ":parameter/anfl/prod/drained/*" in json.dumps(drain["Resource"]), "and no other parameter"


DATA = re.compile(
    r"dynamodb:(BatchGet|Get|PartiQL|Query|Scan|Search|Export)\w*"
    r"|ecs:ExecuteCommand"
    r"|kms:(Decrypt|DeriveShared|GenerateDataKey|ReEncrypt)\w*"
    r"|lambda:(Invoke|GetFunction$)\w*"
    r"|s3:(GetObject|ListBucket$|SelectObject)\w*"
    r"|secretsmanager:(BatchGet|Get)\w*"
    r"|sqs:ReceiveMessage"
    r"|ssm:(GetParameter|ResumeSession|SendCommand|StartSession)\w*"
)
"""What shows items, objects, messages or secrets, or lets somebody in where they are."""


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("read-only", set()),
        (
            "operator",
            {
                *("kms:Decrypt", "kms:GenerateDataKey", "lambda:InvokeFunction", "sqs:ReceiveMessage"),
                "ssm:GetParameter",  # of the marks that say who is drained, as the test above has it
            },
        ),
        (
            "break-glass",
            {
                *("kms:Decrypt", "s3:GetObject", "secretsmanager:GetSecretValue"),
                *("ssm:ResumeSession", "ssm:StartSession"),
            },
        ),
    ],
)
def test_who_comes_near_data_and_secrets(people: Template, name: str, data: set[str]) -> None:
    assert {action for action in may(people, name) if DATA.match(action)} == data


def test_keys_are_used_by_way_of_one_purpose_each(people: Template) -> None:
    for name, alias, services in (
        ("operator", "alias/anfl-prod-data", "sqs.*.amazonaws.com"),
        ("break-glass", "alias/anfl-prod-vault-seal", ["secretsmanager.*.amazonaws.com", "s3.*.amazonaws.com"]),
    ):
        (keyed,) = (s for s in statements(people, name) if "kms:Decrypt" in actions(s))
        assert keyed["Condition"]["ForAnyValue:StringEquals"] == {"kms:ResourceAliases": alias}
        assert keyed["Condition"]["StringLike"] == {"kms:ViaService": services}


def test_the_alias_that_the_emergency_names_is_that_of_the_seal(prod: Assembly) -> None:
    names = {alias["AliasName"] for alias in prod["anfl-prod-global-keys"].properties("AWS::KMS::Alias")}
    assert {"alias/anfl-prod-vault-seal", "alias/anfl-prod-data", "alias/anfl-prod-wrapping"} == names


def test_what_changes_something_is_scoped_to_the_environment(people: Template) -> None:
    for name in ROLES:
        for statement in statements(people, name):
            if str(statement["Sid"]).startswith("Look"):
                continue
            where = json.dumps(statement["Resource"])
            assert statement["Resource"] != "*"
            scope = where + json.dumps(statement.get("Condition", {}))
            assert re.search("anfl[-/]prod", scope) or statement["Sid"] in {
                "RecoveryRecord",  # its name is CloudFormation's; the tags tell whose it is
                "VisitByShell",
                "OwnSessions",
            }


def test_the_recovery_record_is_told_by_the_tags_of_the_environment(people: Template) -> None:
    (record,) = (s for s in statements(people, "break-glass") if s["Sid"] == "RecoveryRecord")
    assert record["Condition"] == {
        "StringEquals": {"aws:ResourceTag/project": "anfl", "aws:ResourceTag/environment": "prod"}
    }


def test_operators_visit_no_machine_and_do_not_run_the_bootstrap(people: Template) -> None:
    assert not any(action.startswith("ssm:Start") for action in may(people, "operator"))
    (invoke,) = (s for s in statements(people, "operator") if s["Sid"] == "Invoke")
    assert "vault-bootstrap" not in json.dumps(invoke["Resource"])
