"""Is the account ready: what each answer of AWS comes to."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from deployment.preflight import leftovers, readiness, removed
from deployment.preflight.account import Account, AnswerError, CredentialsError, UnansweredError
from deployment.preflight.delegation import PublicDns
from deployment.preflight.plan import Scope, checks_for
from deployment.preflight.results import Outcome, Verdict
from deployment.rollout import Rollout
from stacks.units import Region
from tests.unit.deployment.conftest import Recorded, resource

REGION = "us-west-1"
OneStack = Callable[..., Rollout]


def outcome(verdict: Verdict) -> Outcome:
    """The outcome; whoever must do something is told what."""
    assert verdict.found
    assert bool(verdict.remedy) == (verdict.outcome is not Outcome.OK)
    return verdict.outcome


@pytest.mark.parametrize(
    ("case", "expected"), [("new-enough", Outcome.OK), ("too-old", Outcome.FAILED), ("absent", Outcome.FAILED)]
)
def test_the_toolkit(recorded: Recorded, one_stack: OneStack, case: str, expected: Outcome) -> None:
    assert outcome(readiness.toolkit(recorded(f"toolkit/{case}"), one_stack(), REGION)) is expected


def test_an_account_that_may_not_be_asked_is_told_by_the_action_that_is_needed(
    recorded: Recorded, one_stack: OneStack
) -> None:
    with pytest.raises(UnansweredError, match="ssm:get_parameter in us-west-1") as caught:
        readiness.toolkit(recorded("toolkit/not-allowed"), one_stack(), REGION)
    assert "ssm:get_parameter" in caught.value.remedy


def test_a_service_that_is_down_is_unanswered(recorded: Recorded, one_stack: OneStack) -> None:
    with pytest.raises(UnansweredError):
        readiness.toolkit(recorded("toolkit/down"), one_stack(), REGION)


def test_expired_credentials_end_everything(recorded: Recorded, one_stack: OneStack) -> None:
    with pytest.raises(CredentialsError, match="expired"):
        readiness.toolkit(recorded("toolkit/expired"), one_stack(), REGION)


def test_any_other_answer_is_not_taken_for_good_news(recorded: Recorded, one_stack: OneStack) -> None:
    with pytest.raises(AnswerError):
        readiness.toolkit(recorded("toolkit/strange"), one_stack(), REGION)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("none", Outcome.OK),
        ("well", Outcome.OK),
        ("others-stuck", Outcome.OK),
        ("busy", Outcome.FAILED),
        ("rolled-back", Outcome.FAILED),
        ("under-review", Outcome.FAILED),
        ("stuck", Outcome.FAILED),
    ],
)
def test_stacks_that_stand_already(recorded: Recorded, one_stack: OneStack, case: str, expected: Outcome) -> None:
    assert outcome(readiness.stacks(recorded(f"stacks/{case}"), one_stack(), REGION)) is expected


@pytest.mark.parametrize(
    ("case", "helps"), [("rolled-back", True), ("under-review", True), ("stuck", False), ("busy", False)]
)
def test_stacks_that_can_only_be_deleted_are_a_matter_of_the_command_for_it(
    recorded: Recorded, one_stack: OneStack, case: str, helps: bool
) -> None:
    remedy = readiness.stacks(recorded(f"stacks/{case}"), one_stack(), REGION).remedy
    assert ("anfl cleanup --failed --env prod" in remedy) is helps


def _without_region(rollout: Rollout) -> Rollout:
    deployment = rollout.settings.deployment.model_copy(update={"removed_regions": (Region(REGION),)})
    return replace(rollout, settings=rollout.settings.model_copy(update={"deployment": deployment}))


@pytest.mark.parametrize(("case", "expected"), [("gone", Outcome.OK), ("standing", Outcome.FAILED)])
def test_a_region_that_the_settings_have_no_more_must_have_gone_before_the_next_deployment(
    recorded: Recorded, one_stack: OneStack, case: str, expected: Outcome
) -> None:
    (check,) = removed.checks(recorded(f"removed/{case}"), _without_region(one_stack()))
    verdict = check.look()
    assert outcome(verdict) is expected
    assert check.id == f"removed.{REGION}"
    if expected is Outcome.FAILED:
        assert verdict.remedy == "anfl regions remove us-west-1 --env prod"
        assert "anfl-prod-global-replica-keys-us-west-1" in verdict.found


@pytest.mark.parametrize("scope", [Scope.ACCOUNT, Scope.DEPLOYMENT])
def test_every_deployment_asks_for_regions_that_the_settings_have_no_more(one_stack: OneStack, scope: Scope) -> None:
    asked = checks_for(scope, Account(lambda *_: None), _without_region(one_stack()), PublicDns())
    assert f"removed.{REGION}" in {check.id for check in asked}


@pytest.mark.parametrize(
    ("case", "needed", "expected"),
    [("exists", True, Outcome.OK), ("missing", True, Outcome.FAILED), ("missing", False, Outcome.WARNING)],
)
def test_service_linked_roles(recorded: Recorded, case: str, needed: bool, expected: Outcome) -> None:
    verdict = readiness.service_linked_role(
        recorded(f"roles/{case}"), role="AWSServiceRoleForECS", service="ecs.amazonaws.com", needed=needed
    )
    assert outcome(verdict) is expected
    if expected is not Outcome.OK:
        assert "aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com" in verdict.remedy


@pytest.mark.parametrize(
    ("case", "command"),
    [
        ("on", ""),
        ("s3-off", "--resource-type-opt-in-preference S3=true"),
        ("plain-tables", "--resource-type-management-preference DynamoDB=true"),
        (
            "never-set",
            "--resource-type-opt-in-preference DynamoDB=true,S3=true "
            "--resource-type-management-preference DynamoDB=true",
        ),
    ],
)
def test_backup_must_be_on_for_what_the_plans_select(
    recorded: Recorded, one_stack: OneStack, case: str, command: str
) -> None:
    selected = ["arn:aws:dynamodb:us-west-1:1:table/anfl-prod-auth", {"Fn::GetAtt": ["Vectors", "Arn"]}]
    rollout = one_stack(
        Selection=resource("AWS::Backup::BackupSelection", BackupSelection={"Resources": selected}),
    )
    verdict = readiness.backup_opt_in(recorded(f"backup/{case}"), rollout, REGION)
    assert outcome(verdict) is (Outcome.FAILED if command else Outcome.OK)
    assert command in verdict.remedy


@pytest.mark.parametrize(
    ("case", "provider", "expected"),
    [
        ("elsewhere", "AWS_SSO", Outcome.OK),
        ("none", "AWS_SSO", Outcome.FAILED),
        ("none", "SAML", Outcome.WARNING),
    ],
)
def test_who_signs_people_in_to_grafana(
    recorded: Recorded, one_stack: OneStack, case: str, provider: str, expected: Outcome
) -> None:
    rollout = one_stack(Grafana=resource("AWS::Grafana::Workspace", AuthenticationProviders=[provider]))
    assert outcome(readiness.identity_center(recorded(f"identity/{case}"), rollout)) is expected


@pytest.mark.parametrize(
    ("case", "expected"), [("empty", Outcome.OK), ("written", Outcome.OK), ("full", Outcome.FAILED)]
)
def test_room_for_the_policies_that_aws_writes(
    recorded: Recorded, one_stack: OneStack, case: str, expected: Outcome
) -> None:
    rollout = one_stack(Logging=resource("AWS::WAFv2::LoggingConfiguration"))
    assert outcome(readiness.log_policies(recorded(f"logs/{case}"), rollout, REGION)) is expected


@pytest.mark.parametrize(("case", "expected"), [("none", Outcome.OK), ("own", Outcome.OK), ("others", Outcome.WARNING)])
def test_the_one_role_by_which_api_gateway_writes_logs(
    recorded: Recorded, one_stack: OneStack, case: str, expected: Outcome
) -> None:
    assert outcome(readiness.gateway_role(recorded(f"gateway/{case}"), one_stack(), REGION)) is expected


def _named(one_stack: OneStack) -> Rollout:
    bucket = {"Fn::Join": ["", ["anfl-prod-vectors-", {"Ref": "AWS::AccountId"}, "-us-west-1"]]}
    return one_stack(
        "storage",
        Table=resource("AWS::DynamoDB::GlobalTable", TableName="anfl-prod-auth"),
        Bucket=resource("AWS::S3::Bucket", BucketName=bucket),
        Logs=resource("AWS::Logs::LogGroup"),
    )


@pytest.mark.parametrize(
    ("case", "expected"), [("none", Outcome.OK), ("bucket", Outcome.FAILED), ("stack-stands", Outcome.OK)]
)
def test_names_that_something_outside_the_stacks_has(
    recorded: Recorded, one_stack: OneStack, case: str, expected: Outcome
) -> None:
    verdict = leftovers.leftovers(recorded(f"leftovers/{case}"), _named(one_stack), REGION)
    assert outcome(verdict) is expected
    assert ("anfl-prod-vectors-111122223333-us-west-1" in verdict.found) == (expected is Outcome.FAILED)
    assert ("anfl cleanup --failed --env prod" in verdict.remedy) == (expected is Outcome.FAILED)


def test_a_name_of_which_nothing_is_known_is_not_taken_to_be_free(recorded: Recorded, one_stack: OneStack) -> None:
    with pytest.raises(AnswerError):
        leftovers.leftovers(recorded("leftovers/unclear"), _named(one_stack), REGION)
