"""What callers hear when DynamoDB or S3 does not answer."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError, ReadTimeoutError

from anfl.registry.registry import Registry
from services.model_registry.app import assemble
from tests.unit.registry.test_protocol import ADMIN, API, PROXY, TenantInToken


def refusal(code: str, status: int) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Query")


@pytest.fixture(name="failing")
def _failing(clients: dict[str, Any]) -> Iterator[list[Exception]]:
    """What every call of AWS ends with from now on, once something is in it."""
    errors: list[Exception] = []

    def fail(**_: object) -> None:
        if errors:
            raise errors[0]

    for client in clients.values():
        client.meta.events.register_first("before-call", fail, unique_id="failing")
    yield errors
    for client in clients.values():
        client.meta.events.unregister("before-call", unique_id="failing")


def ask(registry: Registry, method: str, path: str) -> httpx.Response:
    service = assemble(registry, verifier=TenantInToken())

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(service, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://registry.test") as client:
            return await client.request(method, path, headers={"authorization": f"Bearer {ADMIN}"})

    return asyncio.run(send())


@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(endpoint_url="u"),
        EndpointConnectionError(endpoint_url="u"),
        refusal("InternalServerError", 500),
        refusal("ThrottlingException", 400),
        refusal("SlowDown", 503),
    ],
)
def test_a_store_that_fails_for_the_moment_is_a_503(
    registry: Registry, failing: list[Exception], error: Exception
) -> None:
    failing.append(error)
    mlflow = ask(registry, "GET", f"{API}/registered-models/get?name=a")
    assert (mlflow.status_code, mlflow.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert mlflow.headers["retry-after"] == "1"
    own = ask(registry, "GET", "/v1/models/a/audit")
    assert (own.status_code, own.json()["code"]) == (503, "store_unavailable")
    assert ask(registry, "GET", f"{PROXY}?path=a").status_code == 503


@pytest.mark.parametrize("error", [ParamValidationError(report="r"), refusal("AccessDeniedException", 400)])
def test_what_will_not_pass_is_a_500(registry: Registry, failing: list[Exception], error: Exception) -> None:
    failing.append(error)
    assert ask(registry, "GET", f"{API}/registered-models/get?name=a").status_code == 500
