"""What is told of a body that is no grant: the member, and what belongs there, of the grant that was named."""

import json

import pytest

from anfl.auth.grants import AppRole, AwsIam, Oidc, Refresh, grant_in, revocation_in
from anfl.problems import Problem

_SEND = "Send grant (approle, aws_iam, oidc or refresh) and what belongs to it."
_IAM = {
    "iam_http_request_method": "POST",
    "iam_request_url": "u",
    "iam_request_body": "b",
    "iam_request_headers": "h",
}


def test_a_grant_is_known_by_its_name() -> None:
    assert grant_in(b'{"grant": "approle", "role_id": "r", "secret_id": "s"}') == AppRole(role_id="r", secret_id="s")
    assert grant_in(json.dumps({"grant": "aws_iam", "client": "demo.ci"} | _IAM).encode()) == AwsIam(
        client="demo.ci", **_IAM
    )
    assert grant_in(b'{"token": "t", "grant": "refresh"}') == Refresh(token="t")
    assert grant_in(b'{"grant": "oidc", "token": "t"}') == Oidc(token="t")


@pytest.mark.parametrize(
    ("body", "field", "detail"),
    [
        (
            {"grant": "approle", "role_id": "r", "secret_id": "s", "token": "t"},
            "token",
            "There is no field token; there are role_id, secret_id.",
        ),
        ({"grant": "refresh", "role_id": "r"}, "role_id", "There is no field role_id; there are token."),
        ({"grant": "oidc"}, "token", "token is missing."),
        ({"grant": "password"}, "grant", "Invalid value 'password'."),
        ({"grant": ["approle"]}, "grant", "Expected `str`."),
        ({}, "grant", "grant is missing."),
        (
            {"grant": "aws_iam", "client": "Demo.CI"} | _IAM,
            "client",
            "It is <tenant>.<name>, in lower-case letters, digits, '_', '.' and '-'.",
        ),
    ],
)
def test_what_does_not_belong_to_a_grant_is_named(body: object, field: str, detail: str) -> None:
    with pytest.raises(Problem) as refused:
        grant_in(json.dumps(body).encode())
    assert (refused.value.status, refused.value.field) == (400, field)
    assert refused.value.detail == f"{detail} {_SEND}"


def test_two_grants_at_once_are_none() -> None:
    with pytest.raises(Problem) as refused:
        grant_in(b'{"grant": "approle", "role_id": "r", "secret_id": "s", "grant": "refresh"}')
    assert (refused.value.status, refused.value.field) == (400, "grant")


@pytest.mark.parametrize("body", [b"{", b"grant=approle", b"\xff\xfe", b'{"grant": "\\ud800"}', b"[" * 3000])
def test_what_is_no_json_is_told_in_whole_sentences(body: bytes) -> None:
    for read in (grant_in, revocation_in):
        with pytest.raises(Problem) as refused:
            read(body)
        assert refused.value.status == 400
        assert ". Send " in refused.value.detail
