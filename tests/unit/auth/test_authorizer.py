"""Tenant and roles stand where Vault says the same of a token, and nowhere else."""

from collections.abc import Mapping
from typing import Any

import pytest

from anfl.auth.authorizer import Authorizer
from anfl.auth.vault import Login
from anfl.problems import Problem
from tests.unit.auth.tokens import claims, new_key, signed, verifier


class Saying:
    """A Vault that agrees to every token and says something of its bearer."""

    def __init__(self, metadata: Mapping[str, str]) -> None:
        self._metadata = metadata

    def login_jwt(self, *, role: str, token: str) -> Login:  # noqa: ARG002 - one interface
        return Login(token="", lifetime=60, renewable=False, metadata=self._metadata)


def principal_of(given: Mapping[str, Any], metadata: Mapping[str, str]) -> Any:
    key = new_key()
    vault: Any = Saying(metadata)
    return Authorizer(verifier(key), vault).principal(signed(key, claims(**given)))


def test_who_vault_says_the_same_of_is_let_in() -> None:
    found = principal_of({"tenant": "acme", "roles": ["admin", "reader"]}, {"tenant": "acme", "roles": "reader admin"})
    assert (found.tenant, sorted(found.roles)) == ("acme", ["admin", "reader"])


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"tenant": "acme"},
        {"roles": "admin"},
        {"tenant": "acme", "roles": ""},
        {"tenant": "acme", "roles": "reader"},
        {"tenant": "acme", "roles": "admin reader"},
        {"tenant": "acme", "roles": "admin root"},
        {"tenant": "other", "roles": "admin"},
    ],
    ids=str,
)
def test_a_token_that_tells_vault_something_else_than_the_services_is_refused(metadata: dict[str, str]) -> None:
    """Its claims name tenant and roles twice: what Vault reads, and what the services decide by."""
    with pytest.raises(Problem) as refused:
        principal_of({"tenant": "acme", "roles": ["admin"]}, metadata)
    assert (refused.value.status, refused.value.code) == (401, "token_refused")
