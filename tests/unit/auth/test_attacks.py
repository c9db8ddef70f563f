"""Every attack by a token is refused with 401, by whoever gets it, in bounded work."""

import asyncio
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import httpx
import jwt
import pytest
from jwt.algorithms import ECAlgorithm

from anfl.auth.keys import DenyList, KeySet
from anfl.auth.principal import Role
from anfl.auth.rbac import PUBLIC_ROUTES, ROUTES
from anfl.auth.table import AuthTable
from anfl.auth.vault_setup import VaultSetup
from anfl.auth.verifier import TokenVerifier
from anfl.http.service import Service
from anfl.problems import Problem
from services.model_registry import app as model_registry
from services.vector_store import app as vector_store
from tests.unit.auth.attacks import ORDER, attacks
from tests.unit.auth.conftest import AUDIENCE, ISSUER
from tests.unit.auth.functions import Handler, answered, authorise, event, issue
from tests.unit.auth.tokens import new_key, published, signed, verifier

KEY = new_key()
ATTACKS = dict(attacks(KEY))
Work = Callable[[], int]


@pytest.fixture
def signature_checks(monkeypatch: pytest.MonkeyPatch) -> Work:
    """How many there were."""
    really, count = ECAlgorithm.verify, 0

    def counted(*given: Any) -> bool:
        nonlocal count
        count += 1
        return really(*given)

    monkeypatch.setattr(ECAlgorithm, "verify", counted)
    return lambda: count


def test_there_are_attacks_and_a_good_token_passes() -> None:
    assert len(ATTACKS) > 70
    assert verifier(KEY).verify(signed(KEY)).tenant == "demo"


@pytest.mark.parametrize("name", ATTACKS)
def test_the_verifier_refuses_with_one_check_at_most(name: str, signature_checks: Work) -> None:
    reads = 0

    def keys() -> tuple[Any, ...]:
        nonlocal reads
        reads += 1
        return (published(KEY),)

    by = TokenVerifier(KeySet(keys), issuer=ISSUER, audience=AUDIENCE, deny_list=DenyList(frozenset))
    with pytest.raises(Problem) as caught:
        by.verify(ATTACKS[name])
    assert caught.value.status == 401
    assert caught.value.code.startswith("token_")
    assert by.cached(ATTACKS[name]) is None
    assert (signature_checks() <= 1, reads <= 1) == (True, True)


def vectors() -> tuple[Service, MagicMock]:
    parts = MagicMock()
    return vector_store.assemble(parts.store, parts.imports, verifier=verifier(KEY), stage_prefix="/live"), parts


def models() -> tuple[Service, MagicMock]:
    parts = MagicMock()
    return model_registry.assemble(parts.registry, verifier=verifier(KEY), stage_prefix="/live"), parts


@pytest.mark.parametrize(
    ("made", "path"),
    [(vectors, "/v1/collections"), (models, "/api/2.0/mlflow/registered-models/search")],
    ids=["vector-store", "model-registry"],
)
def test_the_services_refuse_before_anything_runs(made: Callable[[], tuple[Service, MagicMock]], path: str) -> None:
    service, parts = made()
    parts.reset_mock()

    async def send() -> dict[str, tuple[int, bool]]:
        transport = httpx.ASGITransport(service, raise_app_exceptions=False)
        found: dict[str, tuple[int, bool]] = {}
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            for name, token in ATTACKS.items():
                sent = f"Bearer {token}".encode("latin-1", "replace")
                for stage in ("", "/live"):
                    answer = await client.get(f"{stage}{path}", headers=[(b"authorization", sent)])
                    found[name + stage] = (answer.status_code, "www-authenticate" in answer.headers)
        return found

    found = asyncio.run(send())
    assert {name: seen for name, seen in found.items() if seen != (401, True)} == {}
    assert parts.mock_calls == []


@pytest.mark.parametrize("made", [vectors, models], ids=["vector-store", "model-registry"])
def test_no_route_of_a_service_is_open_that_the_table_does_not_call_public(
    made: Callable[[], tuple[Service, MagicMock]],
) -> None:
    service, _ = made()

    async def send() -> list[int]:
        transport = httpx.ASGITransport(service, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return [(await client.request(route.method, route.path)).status_code for route in ROUTES]

    assert set(asyncio.run(send())) == {401, 404}, "its own routes want a token, the other service's are not there"
    assert not {(route.method, route.path) for route in ROUTES} & set(PUBLIC_ROUTES)


def test_the_functions_refuse_what_is_even_signed_by_a_published_key(
    ready: VaultSetup, auth: Handler, authorizer: Handler, table: AuthTable, signature_checks: Work
) -> None:
    """And the authorizer asks Vault about none of them."""
    kid = "eu-west-1.7"
    table.publish(published(KEY, kid))
    issue(auth, ready.ensure_client("client", tenant="demo", roles=[Role.READER]))
    for name, token in attacks(KEY, kid=kid):
        before = signature_checks()
        with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
            authorise(authorizer, token)
        for asked in (event("GET", "/v1/auth/whoami", token=token), event("POST", "/v1/auth/revoke", token=token)):
            assert answered(auth(asked, None), 401)["code"].startswith("token_"), name
        assert signature_checks() <= before + 3, name


def test_a_signature_that_reads_the_same_is_the_same_login(ready: VaultSetup, auth: Handler, table: AuthTable) -> None:
    """ECDSA knows a second signature (r, n - s) for each: it verifies, and helps nobody over a revocation."""
    token = issue(auth, ready.ensure_client("client", tenant="demo", roles=[Role.READER]))
    head, body, signature = token.split(".")
    raw = jwt.utils.base64url_decode(signature)
    other = raw[:32] + (ORDER - int.from_bytes(raw[32:])).to_bytes(32)
    twin = f"{head}.{body}.{jwt.utils.base64url_encode(other).decode()}"
    fresh = TokenVerifier(
        KeySet(table.published_keys), issuer=ISSUER, audience=AUDIENCE, deny_list=DenyList(table.revoked)
    )
    answered(auth(event("POST", "/v1/auth/revoke", token=token), None), 200)
    with pytest.raises(Problem, match="token_revoked"):
        fresh.verify(twin)
