"""What a login comes to at its end."""

from unittest.mock import MagicMock

import pytest

from anfl.auth.issuer import TokenIssuer
from anfl.auth.principal import Principal, Role
from anfl.auth.table import PublishedKey
from anfl.problems import Problem
from tests.unit.auth.conftest import AUDIENCE, ISSUER
from tests.unit.auth.tokens import new_key, published

BEGUN, SESSION = 1_000_000, 60


@pytest.mark.parametrize(("left", "slow", "expires_in"), [(30.0, 5.0, 25), (1.5, 1.0, 1), (0.5, 1.0, None)])
def test_no_token_is_issued_that_has_expired_while_vault_was_asked(
    left: float, slow: float, expires_in: int | None
) -> None:
    now = BEGUN + SESSION - left
    vault = MagicMock()
    vault.sign_jws.return_value = "c2ln"

    def login(**_: object) -> None:
        nonlocal now
        now += slow

    vault.login_jwt.side_effect = login
    issuer = TokenIssuer(
        vault,
        published_keys=_keys,
        region="us-west-1",
        issuer=ISSUER,
        audience=AUDIENCE,
        lifetime=900,
        session=SESSION,
        clock=lambda: now,
    )
    principal = Principal(
        subject="demo.client",
        tenant="demo",
        roles=frozenset({Role.READER}),
        token_id="login",
        expires_at=BEGUN + SESSION,
        logged_in_at=BEGUN,
    )
    if expires_in is None:
        with pytest.raises(Problem) as caught:
            issuer.refresh("token", principal)
        assert (caught.value.status, caught.value.code) == (401, "login_ended")
        vault.sign_jws.assert_not_called()
    else:
        assert issuer.refresh("token", principal).expires_in == expires_in


def _keys() -> tuple[PublishedKey, ...]:
    return (published(new_key(), "us-west-1.1"),)
