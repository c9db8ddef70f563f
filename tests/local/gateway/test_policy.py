"""Policy documents of authorizers."""

from typing import Any

import pytest

from local.gateway.policy import PolicyError, compile_policy

ARN = "arn:aws:execute-api:us-west-1:1:api/live/GET/v1/items/a/b"


def document(effect: str = "Allow", **statement: Any) -> dict[str, Any]:
    return {"Statement": {"Effect": effect, "Action": "execute-api:Invoke", "Resource": "*"} | statement}


@pytest.mark.parametrize(
    ("resource", "allowed"),
    [
        ("*", True),
        ("arn:aws:execute-api:*:*:api/live/GET/v1/items/*", True),
        ("arn:aws:execute-api:us-west-1:1:api/live/GET/v1/items/?/b", True),
        ("arn:aws:execute-api:us-west-1:1:api/live/GET/v1/items", False),
        ("arn:aws:execute-api:us-west-1:1:api/live/get/v1/items/a/b", False),
        ("arn:aws:execute-api:us-west-1:1:api/live/GET/v1/items/a.b", False),
    ],
)
def test_resource_patterns(resource: str, allowed: bool) -> None:
    assert compile_policy(document(Resource=[resource])).allows(ARN) is allowed


def test_other_actions_say_nothing() -> None:
    assert not compile_policy(document(Action="execute-api:ManageConnections")).allows(ARN)
    assert compile_policy(document(Action=["s3:*", "execute-api:*"])).allows(ARN)


def test_conditions_never_widen() -> None:
    condition = {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}
    assert not compile_policy(document(Condition=condition)).allows(ARN)
    both = {"Statement": [document()["Statement"], document("Deny", Condition=condition)["Statement"]]}
    assert not compile_policy(both).allows(ARN)


@pytest.mark.parametrize("wrong", [None, "text", {"Statement": ["x"]}, document(Resource=[]), document("Perhaps")])
def test_refuses_what_is_no_policy(wrong: Any) -> None:
    with pytest.raises(PolicyError):
        compile_policy(wrong)


def test_an_empty_policy_denies() -> None:
    assert not compile_policy({"Statement": []}).allows(ARN)
