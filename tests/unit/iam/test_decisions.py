"""What IAM decides, by the AWS IAM User Guide: precedence, patterns, and what is not understood."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.iam.calls import Call, context
from local.iam.decisions import Policies, Principal, Verdict, decide
from local.iam.errors import UnsupportedError
from local.iam.patterns import arn_like, like
from local.iam.policies import Statement, parse

ME = Principal(
    account="123456789012",
    role="arn:aws:iam::123456789012:role/r",
    session="arn:aws:sts::123456789012:assumed-role/r/s",
)
OBJECT = "arn:aws:s3:::bucket/key"
KEY = "arn:aws:kms:us-west-1:123456789012:key/k"


def statements(*given: Mapping[str, Any]) -> tuple[Statement, ...]:
    return parse(json.dumps({"Version": "2012-10-17", "Statement": list(given)}))


def allow(action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    return allow(action, resource, **more) | {"Effect": "Deny"}


def verdict(call: Call, *identity: Any, boundary: Any = None, resource: Any = ()) -> Verdict:
    policies = Policies(
        identity=statements(*identity),
        boundary=None if boundary is None else statements(*boundary),
        resource=statements(*resource),
    )
    return decide(call, ME, policies)


def get(key: str = OBJECT, **told: str) -> Call:
    return Call(action="s3:GetObject", resource=key, context=context(told))


def to(principal: Any) -> dict[str, Any]:
    return {"Principal": principal}


NO_IDENTITY = "because no identity-based policy allows the s3:GetObject action"
ACCOUNT = {"AWS": "arn:aws:iam::123456789012:root"}


@pytest.mark.parametrize(
    ("identity", "boundary", "resource", "refused"),
    [
        ([], None, [], NO_IDENTITY),
        ([allow("s3:GetObject", OBJECT)], None, [], None),
        ([allow("s3:PutObject", OBJECT)], None, [], NO_IDENTITY),
        ([allow("s3:GetObject", OBJECT + "2")], None, [], NO_IDENTITY),
        (
            [allow("*", "*"), deny("s3:GetObject", OBJECT)],
            None,
            [],
            "with an explicit deny in an identity-based policy",
        ),
        (
            [allow("*", "*")],
            [allow("s3:Put*", "*")],
            [],
            "because no permissions boundary allows the s3:GetObject action",
        ),
        (
            [allow("*", "*")],
            [allow("*", "*"), deny("s3:*", "*")],
            [],
            "with an explicit deny in a permissions boundary",
        ),
        ([], [allow("*", "*")], [], NO_IDENTITY),
        ([allow("*", "*")], None, [deny("s3:*", "*", **to("*"))], "with an explicit deny in a resource-based policy"),
        ([allow("*", "*")], None, [deny("s3:*", "*", **to({"AWS": "arn:aws:iam::123456789012:role/other"}))], None),
        ([allow("*", "*")], None, [deny("s3:*", "*", **to({"Service": "s3.amazonaws.com"}))], None),
        ([], None, [allow("s3:GetObject", "*", **to({"AWS": ME.role}))], None),
        ([], None, [allow("s3:GetObject", "*", **to({"AWS": [ME.session]}))], None),
        ([], None, [allow("s3:GetObject", "*", **to("*"))], None),
        ([], None, [allow("s3:GetObject", "*", **to(ACCOUNT))], NO_IDENTITY),
        (
            [allow("*", "*")],
            None,
            [deny("s3:*", "*", **to({"AWS": ["210987654321", "123456789012"]}))],
            "with an explicit deny in a resource-based policy",
        ),
        ([allow("*", "*")], None, [deny("s3:*", "*", **to({"AWS": "210987654321"}))], None),
        (
            [deny("s3:*", "*")],
            None,
            [allow("s3:*", "*", **to("*"))],
            "with an explicit deny in an identity-based policy",
        ),
    ],
)
def test_precedence(identity: Any, boundary: Any, resource: Any, refused: str | None) -> None:
    assert verdict(get(), *identity, boundary=boundary, resource=resource).refused == refused


@pytest.mark.parametrize(
    ("identity", "resource", "refused"),
    [
        ([allow("kms:Decrypt", KEY)], [], "because no resource-based policy allows the kms:Decrypt action"),
        ([allow("kms:Decrypt", KEY)], [allow("kms:*", "*", **to(ACCOUNT))], None),
        ([allow("kms:Decrypt", KEY)], [allow("kms:*", "*", **to({"AWS": "123456789012"}))], None),
        ([allow("kms:Decrypt", KEY)], [allow("kms:*", "*", **to("123456789012"))], None),
        ([], [allow("kms:*", "*", **to(ACCOUNT))], "because no identity-based policy allows the kms:Decrypt action"),
        ([], [allow("kms:Decrypt", "*", **to({"AWS": ME.role}))], None),
    ],
)
def test_a_keys_policy_comes_first(identity: Any, resource: Any, refused: str | None) -> None:
    call = Call(action="kms:Decrypt", resource=KEY)
    assert verdict(call, *identity, resource=resource).refused == refused


def test_what_allowed_it_is_told() -> None:
    found = verdict(get(), allow(["s3:Put*", "s3:Get*"], ["x", "arn:aws:s3:::bucket/*"], Sid="Read"), allow("*", "y"))
    assert [(match.sid, match.action, match.resource) for match in found.by] == [
        ("Read", "s3:Get*", "arn:aws:s3:::bucket/*")
    ]


def test_actions_know_no_case_and_resources_do() -> None:
    assert verdict(get(), allow("S3:getobject", OBJECT)).refused is None
    assert verdict(get(), allow("s3:GetObject", OBJECT.upper())).refused == NO_IDENTITY


def test_everything_but_something() -> None:
    but = {"Effect": "Allow", "NotAction": "s3:Put*", "Resource": "*"}
    assert verdict(get(), but).refused is None
    assert verdict(Call(action="s3:PutObject", resource=OBJECT), but).refused is not None
    elsewhere = {"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::bucket/*"}
    assert verdict(get(), elsewhere).refused == NO_IDENTITY
    assert verdict(get("arn:aws:s3:::other/key"), elsewhere).refused is None


CONDITIONS = [
    ({"StringEquals": {"kms:ViaService": ["a", "b"]}}, {"kms:ViaService": "b"}, True),
    ({"StringEquals": {"kms:ViaService": "a"}}, {"kms:ViaService": "b"}, False),
    ({"StringEquals": {"kms:ViaService": "a"}}, {}, False),
    ({"StringEquals": {"KMS:viaservice": "a"}}, {"kms:ViaService": "a"}, True),
    ({"StringLike": {"kms:ViaService": "s3.*"}}, {"kms:ViaService": "s3.eu"}, True),
    ({"StringLike": {"kms:ViaService": "s3.?"}}, {"kms:ViaService": "s3.eu"}, False),
    ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::1:role/*"}}, {"aws:PrincipalArn": "arn:aws:iam::1:role/a/b"}, True),
    ({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam:*:role/a"}}, {"aws:PrincipalArn": "arn:aws:iam::1:role/a"}, False),
    (
        {"ArnNotEquals": {"aws:PrincipalArn": ["arn:aws:iam::1:role/a"]}},
        {"aws:PrincipalArn": "arn:aws:iam::1:role/a"},
        False,
    ),
    (
        {"ArnNotEquals": {"aws:PrincipalArn": ["arn:aws:iam::1:role/a"]}},
        {"aws:PrincipalArn": "arn:aws:iam::1:role/b"},
        True,
    ),
    ({"ArnNotEquals": {"aws:PrincipalArn": ["arn:aws:iam::1:role/a"]}}, {}, True),
    ({"Bool": {"aws:SecureTransport": "false"}}, {"aws:SecureTransport": "true"}, False),
    ({"Bool": {"aws:SecureTransport": True}}, {"aws:SecureTransport": "true"}, True),
    ({"NumericLessThan": {"s3:TlsVersion": "1.3"}}, {"s3:TlsVersion": "1.2"}, True),
    ({"NumericLessThan": {"s3:TlsVersion": 1.3}}, {"s3:TlsVersion": "1.3"}, False),
    ({"StringEquals": {"aws:SourceAccount": "1"}}, {}, False),
    (
        {"StringEquals": {"kms:ViaService": "a"}, "Bool": {"aws:SecureTransport": "true"}},
        {"kms:ViaService": "a"},
        False,
    ),
    (
        {"StringEquals": {"kms:ViaService": "a", "s3:x-amz-acl": "b"}},
        {"kms:ViaService": "a", "s3:x-amz-acl": "b"},
        True,
    ),
    (
        {"StringEquals": {"kms:ViaService": "${aws:PrincipalAccount}"}},
        {"kms:ViaService": "1", "aws:PrincipalAccount": "1"},
        True,
    ),
    ({"StringEquals": {"kms:ViaService": "${aws:PrincipalAccount}"}}, {"kms:ViaService": ""}, False),
]


@pytest.mark.parametrize(("condition", "told", "holds"), CONDITIONS)
def test_conditions(condition: Any, told: dict[str, str], holds: bool) -> None:
    assert (verdict(get(**told), allow("*", "*", Condition=condition)).refused is None) is holds
    refused = verdict(get(**told), allow("*", "*"), deny("*", "*", Condition=condition)).refused
    assert (refused is not None) is holds


def test_any_of_several_values() -> None:
    wanted = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": ["alias/a"]}}
    for aliases, holds in ((("alias/b", "alias/a"), True), (("alias/b",), False), ((), False)):
        call = Call(action="kms:Decrypt", resource="k", context=(("kms:resourcealiases", aliases),))
        open_key = allow("*", "*", **to(ACCOUNT))
        found = verdict(call, allow("*", "*", Condition=wanted), resource=[open_key])
        assert (found.refused is None) is holds


def test_all_of_several_values() -> None:
    wanted = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["a", "b"]}}
    for keys, holds in ((("a",), True), (("b", "a"), True), (("a", "c"), False), (("A",), False), ((), True)):
        call = Call(action="dynamodb:GetItem", resource="t", context=(("dynamodb:leadingkeys", keys),))
        assert (verdict(call, allow("*", "*", Condition=wanted)).refused is None) is holds
    like = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["*#webhooks", "#data-keys"]}}
    for keys, holds in (
        (("a#webhooks", "#data-keys"), True),
        (("a#webhooks", "a#keys"), False),
        (("A#WEBHOOKS",), False),
    ):
        call = Call(action="dynamodb:GetItem", resource="t", context=(("dynamodb:leadingkeys", keys),))
        assert (verdict(call, allow("*", "*", Condition=like)).refused is None) is holds
    without = Call(action="dynamodb:Scan", resource="t")
    assert verdict(without, allow("*", "*", Condition=wanted)).refused is None, "as AWS has it"


@pytest.mark.parametrize(
    "statement",
    [
        allow("*", "*", Condition={"StringNotEquals": {"aws:PrincipalArn": "x"}}),
        allow("*", "*", Condition={"StringEqualsIfExists": {"aws:PrincipalArn": "x"}}),
        allow("*", "*", Condition={"StringEquals": {"aws:SourceIp": "x"}}),
        allow("*", "*", NotPrincipal="*"),
        allow("*", "*", NotAction="x"),
        {"Effect": "Allow", "Action": "*"},
        {"Effect": "Maybe", "Action": "*", "Resource": "*"},
        allow("*", "arn:aws:s3:::${aws:PrincipalAccount, 'other'}/*"),
        allow("*", "arn:aws:s3:::bucket/${*}"),
    ],
)
def test_what_is_not_understood_is_an_error_and_allows_nothing(statement: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError):
        verdict(get(), statement)


@pytest.mark.parametrize("told", ["*", "buck?t"])
def test_a_wildcard_that_a_call_brings_spans_nothing(told: str) -> None:
    mine = allow("*", "arn:aws:s3:::${s3:prefix}/key")
    assert verdict(get(**{"s3:prefix": "bucket"}), mine).refused is None
    with pytest.raises(UnsupportedError):
        verdict(get(**{"s3:prefix": told}), mine)
    with pytest.raises(UnsupportedError):
        verdict(get(**{"s3:prefix": told}), allow("*", "*", Condition={"StringLike": {"s3:prefix": "${s3:prefix}"}}))


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("a*c", "abbc", True),
        ("a*c", "abcd", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a.c", "abc", False),
        ("a[b]c", "abc", False),
        ("a*", "a\nb", True),
    ],
)
def test_patterns(pattern: str, text: str, matches: bool) -> None:
    assert like(pattern, text) is matches


def test_a_wildcard_in_an_arn_of_a_condition_spans_no_colon() -> None:
    assert arn_like("arn:aws:s3:*:*:b", "arn:aws:s3:::b")
    assert not arn_like("arn:aws:*:b", "arn:aws:s3:::b")
    assert arn_like("arn:aws:lambda:us-west-1:1:function:*", "arn:aws:lambda:us-west-1:1:function:a:b")


# --- a model of the rules --------------------------------------------------------------------------------------------

_ACTIONS, _RESOURCES = ("s3:GetObject", "s3:PutObject"), ("arn:aws:s3:::a/1", "arn:aws:s3:::b/1")
_any_statement = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Action": st.sampled_from([*_ACTIONS, "s3:*", "s3:Get*", "*"]),
        "Resource": st.sampled_from([*_RESOURCES, "*", "arn:aws:s3:::a/*"]),
    }
)
_COVERED = {
    **{pattern: {pattern} for pattern in (*_ACTIONS, *_RESOURCES)},
    "s3:*": set(_ACTIONS),
    "s3:Get*": {"s3:GetObject"},
    "*": {*_ACTIONS, *_RESOURCES},
    "arn:aws:s3:::a/*": {"arn:aws:s3:::a/1"},
}


@given(
    identity=st.lists(_any_statement, max_size=4),
    boundary=st.none() | st.lists(_any_statement, max_size=3),
    resource=st.lists(_any_statement, max_size=3),
    action=st.sampled_from(_ACTIONS),
    on=st.sampled_from(_RESOURCES),
)
def test_any_policies(identity: Any, boundary: Any, resource: Any, action: str, on: str) -> None:
    """As the guide's flow chart has it, over sets instead of patterns."""

    def effects(policy: Any) -> set[str]:
        return {s["Effect"] for s in policy or () if action in _COVERED[s["Action"]] and on in _COVERED[s["Resource"]]}

    denied = "Deny" in effects(identity) | effects(boundary) | effects(resource)
    within = boundary is None or "Allow" in effects(boundary)
    allowed = "Allow" in effects(identity) | effects(resource)
    named = [statement | to("*") for statement in resource]
    found = verdict(Call(action=action, resource=on), *identity, boundary=boundary, resource=named)
    assert (found.refused is None) is (not denied and within and allowed)


@given(identity=st.lists(_any_statement, min_size=1, max_size=5), data=st.data())
def test_fewer_permissions_never_allow_more(identity: list[dict[str, str]], data: st.DataObject) -> None:
    allows = [statement for statement in identity if statement["Effect"] == "Allow"]
    taken = data.draw(st.sampled_from(allows)) if allows else None
    rest = [statement for statement in identity if statement is not taken]
    for action in _ACTIONS:
        for on in _RESOURCES:
            call = Call(action=action, resource=on)
            if verdict(call, *rest).refused is None:
                assert verdict(call, *identity).refused is None
