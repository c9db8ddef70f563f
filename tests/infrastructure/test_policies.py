"""Least privilege over every policy: no wildcard but those that are listed, no full access, nobody unnamed."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from importlib import resources
from typing import Any

import pytest

from stacks.layers import layer_of
from stacks.wildcards import WILDCARDS, Wildcard
from tests.infrastructure.conftest import Assembly, Template
from tests.infrastructure.policies import IDENTITIES, Statement, statements, text


@dataclass(frozen=True, kw_only=True)
class OnResource:
    """A wildcard in a policy *on* a resource, where it has another meaning than in an identity's."""

    type: str
    statement: str
    """Pattern over Sids."""
    resource: str = ""
    """Pattern over resources that the statement may name; none if empty."""
    action: str = ""
    """Pattern over actions that it may allow; none with a wildcard if empty."""
    anybody: bool = False
    """Whether the principal may be ``*``."""
    reason: str


ON_RESOURCES = (
    OnResource(
        type="AWS::KMS::*Key",
        statement="*",
        resource="[*]",
        reason="a key's policy speaks of this key alone",
    ),
    OnResource(
        type="AWS::KMS::*Key",
        statement="AccountIdentitiesAsIamAllows",
        resource="[*]",
        action="kms:[*]",
        reason="without the account in its policy a key can be managed by nobody; what identities may do, IAM says",
    ),
    OnResource(
        type="AWS::KMS::*Key",
        statement="DisksOfNodes*",
        resource="[*]",
        anybody=True,
        reason="a condition demands the account's role of Auto Scaling, which AWS makes with the first group: a policy "
        "cannot name a principal that is not there yet",
    ),
    OnResource(
        type="AWS::EC2::VPCEndpoint",
        statement="SystemPackages",
        resource="arn:aws:s3:::al2023-repos-*/[*]",
        anybody=True,
        reason="an endpoint grants nothing; packages of Amazon Linux are public, in one bucket of AWS's a region",
    ),
    OnResource(
        type="AWS::EC2::VPCEndpoint",
        statement="OwnIdentities*",
        resource="[*]",
        anybody=True,
        reason="an endpoint grants nothing; this narrows who may pass to identities of the account, and what they call",
    ),
    OnResource(
        type="AWS::EC2::VPCEndpoint",
        statement="ImageLayers",
        resource="arn:aws:s3:::prod-*-starport-layer-bucket/[*]",
        anybody=True,
        reason="an endpoint grants nothing; ECR keeps image layers in a bucket of its own and signs the addresses",
    ),
    OnResource(
        type="AWS::EC2::VPCEndpoint",
        statement="AnswersOfCustomResources",
        resource="arn:aws:s3:::cloudformation-custom-resource-response-*/[*]",
        anybody=True,
        reason="an endpoint grants nothing; CloudFormation reads answers from a bucket of its own, by signed addresses",
    ),
    OnResource(
        type="AWS::S3::BucketPolicy",
        statement="ThisDistributionReads",
        resource="<Documentation*.Arn>/[*]",
        reason="all of the published pages, for the one distribution",
    ),
    OnResource(
        type="AWS::S3::BucketPolicy",
        statement="AccessLogs",
        resource="<BalancerLogs*.Arn>/balancer/AWSLogs/<AWS::AccountId>/[*]",
        reason="AWS names the objects that it delivers; the path holds it to this account's",
    ),
    OnResource(
        type="AWS::S3::BucketPolicy",
        statement="FlowLogs",
        resource="<EdgeLogs*.Arn>/accelerator/AWSLogs/<AWS::AccountId>/[*]",
        reason="AWS names the objects that it delivers; a condition holds it to this account's",
    ),
)
"""By pattern, in which ``[*]`` is the character itself."""


def _names(policy: OnResource, statement: Statement) -> bool:
    return fnmatchcase(statement.type, policy.type) and fnmatchcase(statement.name, policy.statement)


_LET_IN = re.compile(r"[a-z0-9.-]+\.amazonaws\.com|arn:aws:iam::<AWS::AccountId>:.+|\*")
"""Services of AWS, this account's identities, and whoever a wildcard means, which is looked at by itself."""


def violations(found: Iterable[Statement]) -> set[str]:
    """What is wrong with statements wherever they stand, but for the wildcards of identities."""
    wrong = set()
    for statement in (s for s in found if s.allows):
        where = f"{statement.stack}: {statement.logical_id}: {statement.name}"
        entries = [entry for entry in ON_RESOURCES if _names(entry, statement)]
        if statement.negated:
            wrong.add(f"{where} allows everything but something")
        wrong |= {
            f"{where} allows {action}"
            for action in statement.actions
            if "*" in action and not any(fnmatchcase(action, entry.action) for entry in entries)
        }
        wrong |= {f"{where} lets in {who}" for who in statement.principals if not _LET_IN.fullmatch(who)}
        if "*" in statement.principals and not any(entry.anybody for entry in entries):
            wrong.add(f"{where} allows anybody")
        if statement.type not in IDENTITIES:
            wrong |= {
                f"{where} names {resource}"
                for resource in statement.resources
                if "*" in resource and not any(fnmatchcase(resource, entry.resource) for entry in entries)
            }
    return wrong


def test_no_policy_has_a_wildcard_that_is_not_listed_with_its_reason(assembly: Assembly) -> None:
    wrong = {line for stack in assembly for line in violations(statements(stack))}
    assert not wrong, "\n".join(sorted(wrong))


@pytest.mark.parametrize("entry", ON_RESOURCES, ids=lambda entry: f"{entry.type} {entry.statement}")
def test_every_wildcard_of_a_resources_policy_is_needed(prod: Assembly, dev: Assembly, entry: OnResource) -> None:
    assert len(entry.reason) >= 30
    for assembly in (prod, dev):
        for statement in (s for stack in assembly for s in statements(stack) if _names(entry, s)):
            if not entry.action or any(fnmatchcase(action, entry.action) for action in statement.actions):
                return
    pytest.fail("nothing needs it any more")


Place = tuple[str, str, str]
"""Path of the policy that begins with its layer, name of the statement, resource."""


def _places(assembly: Assembly, environment: str) -> set[Place]:
    """Every wildcard of an identity's policy."""
    places = set()
    for stack in assembly:
        layer = layer_of(stack.name, environment)
        paths = assembly.paths(stack.name)
        for statement in statements(stack):
            if statement.allows and statement.type in IDENTITIES:
                for resource in (r for r in statement.resources if "*" in r):
                    places.add((f"{layer}/{paths[statement.logical_id]}", statement.name, resource))
    return places


def _lists(entry: Wildcard, place: Place, assembly: Assembly, environment: str) -> bool:
    path, statement, resource = place
    regions = {assembly.region_of(stack.name) for stack in assembly}
    return (
        path in entry.policies
        and fnmatchcase(statement, entry.statement)
        and resource in {entry.resource.format(environment=environment, region=region) for region in regions}
    )


@pytest.mark.parametrize("environment", ["prod", "dev"])
def test_every_wildcard_of_an_identity_is_listed_with_its_reason(
    request: pytest.FixtureRequest, environment: str
) -> None:
    assembly: Assembly = request.getfixturevalue(environment)
    unlisted = {
        place
        for place in _places(assembly, environment)
        if not any(_lists(entry, place, assembly, environment) for entry in WILDCARDS)
    }
    assert not unlisted, f"narrow it, or list it in WILDCARDS of stacks/wildcards.py: {sorted(unlisted)}"


def test_every_wildcard_that_is_listed_is_needed(prod: Assembly, dev: Assembly) -> None:
    found = [
        (place, assembly, environment)
        for environment, assembly in (("prod", prod), ("dev", dev))
        for place in _places(assembly, environment)
    ]
    for entry in WILDCARDS:
        for path in entry.policies:
            one = replace(entry, policies=(path,))
            needed = any(_lists(one, place, assembly, environment) for place, assembly, environment in found)
            assert needed, f"take it out of WILDCARDS in stacks/wildcards.py: {one}"


ACTIONS: dict[str, Any] = json.loads((resources.files("cfnlint.data.AdditionalSpecs") / "Policies.json").read_text())
"""AWS's own list of what can be named in a policy, as cfn-lint carries it."""


def nameable(action: str) -> bool:
    """Whether AWS knows a kind of resource to which ``action`` can be held."""
    service, name = action.split(":")
    known = {key.lower(): value for key, value in ACTIONS[service]["Actions"].items()}
    return bool(known[name.lower()].get("Resources"))


@pytest.mark.parametrize("environment", ["prod", "dev"])
def test_only_what_aws_names_no_resource_of_is_allowed_on_all_of_them(
    request: pytest.FixtureRequest, environment: str
) -> None:
    assembly: Assembly = request.getfixturevalue(environment)
    for stack in assembly:
        layer = layer_of(stack.name, environment)
        paths = assembly.paths(stack.name)
        for statement in statements(stack):
            if statement.allows and statement.type in IDENTITIES and "*" in statement.resources:
                place = f"{layer}/{paths[statement.logical_id]}", statement.name, "*"
                (entry,) = (entry for entry in WILDCARDS if _lists(entry, place, assembly, environment))
                found = {action for action in statement.actions if nameable(action)}
                excused = {action for action in found if any(fnmatchcase(action, p) for p in entry.despite)}
                assert found == excused, f"AWS could hold these to resources: {statement}"
                assert found or "*" in entry.despite or not entry.despite, f"AWS could hold none of these: {statement}"


def test_what_can_be_named_is_known() -> None:
    assert nameable("sqs:SendMessage")
    assert not nameable("xray:PutTraceSegments")


def full_access(template: Template) -> list[str]:
    """Policies of AWS that allow everything of a service, or of all."""
    return re.findall(r"\w*(?:FullAccess|AdministratorAccess|PowerUserAccess)\w*", json.dumps(template.document))


def test_nothing_is_given_full_access(assembly: Assembly) -> None:
    for stack in assembly:
        assert not full_access(stack), stack.name


@pytest.mark.parametrize("policy", ["AmazonS3FullAccess", "AdministratorAccess", "AWSBackupFullAccess"])
def test_doctored_full_access_is_found(policy: str) -> None:
    arn = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, f":iam::aws:policy/{policy}"]]}
    role = {"Type": "AWS::IAM::Role", "Properties": {"ManagedPolicyArns": [arn]}}
    assert full_access(Template("doctored", {"Resources": {"Role": role}})) == [policy]


def test_a_managed_policy_is_held_by_a_role_that_one_aws_service_may_take(assembly: Assembly) -> None:
    for stack in assembly:
        for name, role in stack.resources("AWS::IAM::Role").items():
            if not role["Properties"].get("ManagedPolicyArns"):
                continue
            (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            (service,) = statement["Principal"].values()
            assert text(service).endswith(".amazonaws.com"), name
            assert list(statement["Principal"]) == ["Service"], name


PEOPLE = {f"anfl-prod-{name}" for name in ("read-only", "operator", "break-glass")}
"""Names of the roles that identities of this account take, with a second factor (`test_people`)."""


def test_nobody_may_take_a_role_but_services_of_aws_and_who_is_named(assembly: Assembly) -> None:
    for stack in assembly:
        for name, role in stack.resources("AWS::IAM::Role").items():
            document = role["Properties"]["AssumeRolePolicyDocument"]
            for statement in statements(
                Template(name, {"Resources": {name: {"Type": "Trust", "Properties": document}}})
            ):
                assert (statement.allows, statement.actions) == (True, ("sts:AssumeRole",)), name
                (who,) = statement.principals
                if role["Properties"].get("RoleName") in PEOPLE:
                    assert who == "arn:aws:iam::<AWS::AccountId>:root", name
                else:
                    assert re.fullmatch(r"[a-z0-9-]+\.amazonaws\.com", who), name


SERVICES_UNBOUND = {
    ("trust", "apigateway.amazonaws.com"): "AWS documents no source for the role that its account writes logs with",
    ("trust", "backup.amazonaws.com"): "it takes a role that an identity of this account has passed to it (PassRole)",
    ("trust", "ec2.amazonaws.com"): "an instance takes the role of its profile, which is passed to it (PassRole)",
    ("trust", "lambda.amazonaws.com"): "a function takes the role that it was made with, which is passed (PassRole)",
    ("Events", "events.amazonaws.com"): "it sends no source to topics; a rule names topics of its own account alone",
    ("AccessLogs", "logdelivery.elasticloadbalancing.amazonaws.com"): "the path of an object holds its account",
}
"""Services that may do something without a condition that says for whom, each with the reason."""
_FOR_WHOM = ("aws:SourceAccount", "aws:SourceArn", "kms:EncryptionContext:aws:")


def unbound(stack: Template) -> set[tuple[str, str]]:
    """Statements that let in a service of AWS whoever it acts for: their names, of roles ``trust``, and the service."""
    found = {
        ("trust" if statement.actions == ("sts:AssumeRole",) else statement.name, who)
        for statement in statements(stack)
        for who in statement.principals
        if statement.allows
        and who.endswith(".amazonaws.com")
        and not any(key in statement.conditions for key in _FOR_WHOM)
    }
    for name, permission in stack.resources("AWS::Lambda::Permission").items():
        if not {"SourceArn", "SourceAccount"} & permission["Properties"].keys():
            found.add((name, permission["Properties"]["Principal"]))
    return found


def test_services_of_aws_act_for_this_account_alone(prod: Assembly, dev: Assembly) -> None:
    """Any account has the same services do something: without a condition, for itself to what is ours."""
    assert {each for assembly in (prod, dev) for stack in assembly for each in unbound(stack)} == {*SERVICES_UNBOUND}


@pytest.mark.parametrize("condition", [None, {"Bool": {"aws:SecureTransport": "true"}}])
def test_a_service_that_acts_for_anybody_is_found(condition: object) -> None:
    statement = GOOD | {"Principal": {"Service": "sns.amazonaws.com"}, "Condition": condition or {}}
    policy = {"Type": "AWS::S3::BucketPolicy", "Properties": {"PolicyDocument": {"Statement": statement}}}
    call = {"Type": "AWS::Lambda::Permission", "Properties": {"Principal": "events.amazonaws.com"}}
    found = unbound(Template("doctored", {"Resources": {"Policy": policy, "Call": call}}))
    assert found == {("Reads", "sns.amazonaws.com"), ("Call", "events.amazonaws.com")}


GOOD = {"Sid": "Reads", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/key"}


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("AWS::IAM::Policy", {"Action": ["s3:GetObject", "s3:*"]}, "allows s3:*"),
        ("AWS::IAM::Policy", {"Action": "*"}, "allows *"),
        ("AWS::IAM::Role", {"Action": "s3:Get*"}, "allows s3:Get*"),
        ("AWS::IAM::Policy", {"Action": None, "NotAction": "s3:GetObject"}, "allows everything but something"),
        ("AWS::S3::BucketPolicy", {"Principal": "*"}, "allows anybody"),
        ("AWS::SQS::QueuePolicy", {"Principal": {"AWS": ["*"]}}, "allows anybody"),
        ("AWS::SQS::QueuePolicy", {"Principal": {"AWS": "arn:aws:iam::999:root"}}, "lets in arn:aws:iam::999:root"),
        ("AWS::KMS::Key", {"Sid": "S", "Principal": {"AWS": "999"}, "Resource": "*"}, "lets in 999"),
        ("AWS::S3::BucketPolicy", {"Resource": {"Fn::Join": ["", ["arn:", {"Ref": "B"}, "/*"]]}}, "names arn:<B>/*"),
        ("AWS::KMS::Key", {"Sid": "Somebody", "Action": "kms:*", "Resource": "*"}, "allows kms:*"),
        ("AWS::EC2::VPCEndpoint", {"Sid": "Others", "Principal": "*", "Resource": "*"}, "allows anybody"),
        ("AWS::EC2::VPCEndpoint", {"Sid": "OwnIdentities", "Principal": "*", "Action": "*"}, "allows *"),
        ("AWS::EC2::VPCEndpoint", {"Sid": "OwnIdentities", "Principal": "*", "Action": "sqs:*"}, "allows sqs:*"),
    ],
)
def test_a_doctored_policy_is_found(kind: str, change: dict[str, object], says: str) -> None:
    statement = {key: value for key, value in (GOOD | change).items() if value is not None}

    def wrong(statement: Mapping[str, object]) -> set[str]:
        resource = {"Type": kind, "Properties": {"PolicyDocument": {"Statement": statement}}}
        return violations(statements(Template("doctored", {"Resources": {"Policy": resource}})))

    assert not wrong(GOOD)
    assert any(line.endswith(says) for line in wrong(statement)), wrong(statement)
