"""Statements become policies as IAM's language has them; a construct knows where it will stand."""

from typing import Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct
from constructs.location import here
from constructs.statements import ANYBODY, Statement, attach, policy, services

from tests.infrastructure.conftest import CONTEXT
from tests.infrastructure.constructs.test_firewall import Inspect

READ = Statement(sid="Read", actions=["s3:GetObject"], resources=["arn:aws:s3:::b/*"])


@pytest.fixture
def stack() -> Stack:
    return Stack(App(context=CONTEXT), "Test", env=Environment(region="eu-west-1"))


def test_a_statement_says_what_it_was_given_and_nothing_else() -> None:
    assert READ.document() == {
        "Sid": "Read",
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::b/*",
    }


@pytest.mark.parametrize(
    ("principal", "written"),
    [
        (ANYBODY, {"AWS": "*"}),
        (services("s3.amazonaws.com"), {"Service": "s3.amazonaws.com"}),
        (services("a.amazonaws.com", "b.amazonaws.com"), {"Service": ["a.amazonaws.com", "b.amazonaws.com"]}),
    ],
)
def test_a_statement_of_a_resource_names_whom_it_is_about(principal: Any, written: Any) -> None:
    denied = Statement(
        sid="No",
        effect="Deny",
        principal=principal,
        actions=["s3:*"],
        resources=["*"],
        conditions={"Bool": {"aws:SecureTransport": "false"}},
    ).document()
    assert denied["Principal"] == written
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_the_cdk_reads_whole_policies_and_single_statements_alike(stack: Stack) -> None:
    written = {"Sid": "Read", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
    assert stack.resolve(policy([READ]).to_json())["Statement"] == [written]
    assert stack.resolve(READ.as_cdk().to_statement_json()) == written


def test_a_role_has_one_policy_with_all_that_it_may(inspect_construct: Inspect) -> None:
    def build(stack: Stack) -> None:
        role = iam.Role(stack, "R", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        attach(role, [READ, Statement(sid="Trace", actions=["xray:PutTraceSegments"], resources=["*"])])

    found = inspect_construct(build).only("AWS::IAM::Policy")
    assert [statement["Sid"] for statement in found["PolicyDocument"]["Statement"]] == ["Read", "Trace"]


def test_everything_in_a_stack_stands_where_the_stack_stands(stack: Stack) -> None:
    inner = Construct(Construct(stack, "Outer"), "Inner")
    assert here(inner) is here(stack)
    assert here(inner).region == "eu-west-1"
    assert stack.resolve(here(inner).account) == {"Ref": "AWS::AccountId"}


def test_names_are_put_together_as_aws_reads_them() -> None:
    place = here(Stack(App(context=CONTEXT), "Bound", env=Environment(region="eu-west-1", account="1")))
    assert place.arn("dynamodb", "table/t") == "arn:aws:dynamodb:eu-west-1:1:table/t"
    assert place.arn("iam", "role/r", region="") == "arn:aws:iam::1:role/r"
    assert place.arn("s3", "b", region="", account="") == "arn:aws:s3:::b"
    assert place.arn("kms", "key/k", region="us-east-1", account="2") == "arn:aws:kms:us-east-1:2:key/k"
    assert place.registry() == "1.dkr.ecr.eu-west-1.amazonaws.com"
