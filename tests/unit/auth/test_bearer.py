"""One meaning of the header that says who calls, at every door."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anfl.auth.bearer import AUTHORIZATION, bearer_token
from anfl.auth.principal import Role
from anfl.auth.vault_setup import VaultSetup
from anfl.problems import Problem
from tests.unit.auth.functions import METHOD_ARN, Handler, answered, authorise, event, issue

ANOTHERS = (
    "",
    "Bearer",
    "Bearer ",
    "Bearer  a.b.c",
    "Bearer\ta.b.c",
    "Bearer a.b.c ",
    "Bearer a.b.c\n",
    "Bearer a.b.c d",
    "Bearer a.b.c,d",
    "Bearer ä",
    "BEARER a.b.c",
    "Bearera.b.c",
    " Bearer a.b.c",
    "Basic x",
    "a.b.c",
)


@pytest.mark.parametrize("header", ["Bearer a.b-_.c", "bearer a.b-_.c"])
def test_the_token_stands_behind_the_scheme_and_one_space(header: str) -> None:
    assert bearer_token(header) == "a.b-_.c"


@pytest.mark.parametrize("header", ANOTHERS)
def test_no_other_header_has_one(header: str) -> None:
    with pytest.raises(Problem) as caught:
        bearer_token(header)
    assert (caught.value.status, caught.value.code) == (401, "token_missing")


def test_there_is_one_header() -> None:
    with pytest.raises(Problem) as none:
        bearer_token()
    with pytest.raises(Problem) as several:
        bearer_token("Bearer a.b.c", "Bearer a.b.c")
    assert (none.value.code, several.value.code) == ("token_missing", "token_ambiguous")


@given(st.from_regex(r"[Bb][Ee]arer[ \t]{0,2}[A-Za-z0-9_.~+/=-]{0,3}[ \t]?"))
@example("Bearer  a.b.c")
def test_what_the_gateway_asks_nobody_about_is_refused_by_all_others(header: str) -> None:
    """API Gateway matches the whole header against the expression."""
    try:
        told = f"{header[:7]}{bearer_token(header)}"
    except Problem:
        told = ""
    assert told == (header if re.fullmatch(AUTHORIZATION, header) and not header.endswith("\n") else "")


@pytest.mark.parametrize("given", ["Bearer  {}", "Bearer\t{}", "BEARER {}"])
def test_functions_refuse_a_good_token_behind_another_header(
    ready: VaultSetup, auth: Handler, authorizer: Handler, given: str
) -> None:
    token = issue(auth, ready.ensure_client("client", tenant="demo", roles=[Role.READER]))
    authorise(authorizer, token)
    header = given.format(token)
    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        authorizer({"type": "TOKEN", "authorizationToken": header, "methodArn": METHOD_ARN}, None)
    asked = event("GET", "/v1/auth/whoami") | {"multiValueHeaders": {"authorization": [header]}}
    assert answered(auth(asked, None), 401)["code"] == "token_missing"
