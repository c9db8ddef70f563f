"""The plumbing of both services: what a caller gets for each way a request can be wrong."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import TypeVar

import httpx
import pytest

from anfl.auth.principal import Principal, Role
from anfl.http.answers import Answer, Response, json_response
from anfl.http.requests import Request
from anfl.http.service import Service, build
from anfl.problems import Problem

T = TypeVar("T")
LIMIT = 1_000


class OneToken:
    """Knows one good token per role: its name."""

    def cached(self, token: str) -> Principal | None:
        if token in set(Role):
            return Principal(subject="s", tenant="t", roles=frozenset({Role(token)}), token_id="1", expires_at=2**40)
        return None

    def verify(self, token: str) -> Principal:
        raise Problem(401, "token_invalid", f"{token} is not a token")


async def echo(request: Request, principal: Principal) -> Response:
    return json_response(
        {"tenant": principal.tenant, "parameters": request.parameters, "size": len(await request.body())}
    )


async def crash(_request: Request, _principal: Principal) -> Response:
    raise RuntimeError("secret detail")


async def description(_request: Request) -> Response:
    return json_response({})


def ready() -> None:
    """Always."""


@pytest.fixture(name="service")
def _service() -> Service:
    return build(
        {
            ("PUT", "/v1/collections/{name}/vectors"): echo,
            ("GET", "/v1/collections/{name}/vectors"): echo,
            ("GET", "/v1/collections"): crash,
        },
        public={("GET", "/v1/openapi.json"): description},
        ready=ready,
        verifier=OneToken(),
        max_body=LIMIT,
        stage_prefix="/live",
    )


def call(service: Service, method: str, path: str, **options: object) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(service, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path, **options)  # type: ignore[arg-type]

    return run(send())


def run(work: Coroutine[object, object, T]) -> T:
    return asyncio.run(work)


def bearer(role: Role) -> dict[str, str]:
    return {"Authorization": f"Bearer {role}"}


@pytest.mark.parametrize("prefix", ["", "/live"])
def test_path_parameters_reach_the_handler_with_and_without_the_stage(service: Service, prefix: str) -> None:
    response = call(service, "PUT", f"{prefix}/v1/collections/a b/vectors", headers=bearer(Role.WRITER), content=b"xyz")
    assert response.json() == {"tenant": "t", "parameters": {"name": "a b"}, "size": 3}


@pytest.mark.parametrize("name", ["%ff", "a%fe", "%C3", "%ed%a0%80", "%EF%BF%BD%ff"])
def test_a_path_that_is_no_utf8_is_refused_by_its_name(service: Service, name: str) -> None:
    """All of these would be one name: servers put the same character for whatever cannot be read."""
    path = f"/live/v1/collections/{name}/vectors"
    response = call(service, "PUT", path, headers=bearer(Role.WRITER), content=b"xyz")
    assert response.status_code == 400
    assert path in response.json()["detail"]


def test_the_character_that_servers_put_for_others_is_a_character(service: Service) -> None:
    response = call(service, "PUT", "/v1/collections/%EF%BF%BD/vectors", headers=bearer(Role.WRITER), content=b"xyz")
    assert response.json()["parameters"] == {"name": "\ufffd"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", "/v1/collections/a/vectors", {}, 401, "token_missing"),
        ("GET", "/v1/collections/a/vectors", {"Authorization": "Basic eDp5"}, 401, "token_missing"),
        ("GET", "/v1/collections/a/vectors", {"Authorization": f"Bearer  {Role.ADMIN}"}, 401, "token_missing"),
        ("GET", "/v1/collections/a/vectors", {"Authorization": f"BEARER {Role.ADMIN}"}, 401, "token_missing"),
        ("GET", "/v1/collections/a/vectors", {"Authorization": "Bearer forged"}, 401, "token_invalid"),
        ("PUT", "/v1/collections/a/vectors", bearer(Role.READER), 403, "forbidden"),
        ("DELETE", "/v1/collections/a/vectors", bearer(Role.ADMIN), 405, "method_not_allowed"),
        ("GET", "/v1/nothing", bearer(Role.ADMIN), 404, "no_such_route"),
        ("GET", "/live/live/v1/collections", bearer(Role.ADMIN), 404, "no_such_route"),
    ],
)
def test_a_refusal_is_a_problem_document(
    service: Service, method: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    response = call(service, method, path, headers=headers)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_the_limit_is_413_whether_or_not_it_declares_its_length(service: Service, declared: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * LIMIT
        yield b"x"

    body = b"x" * (LIMIT + 1) if declared else chunks()
    response = call(service, "PUT", "/v1/collections/a/vectors", headers=bearer(Role.WRITER), content=body)
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_a_body_at_the_limit_passes(service: Service) -> None:
    response = call(service, "PUT", "/v1/collections/a/vectors", headers=bearer(Role.WRITER), content=b"x" * LIMIT)
    assert response.json()["size"] == LIMIT


def test_an_unexpected_error_says_nothing_of_its_cause(service: Service) -> None:
    response = call(service, "GET", "/v1/collections", headers=bearer(Role.READER))
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.headers["x-request-id"] in response.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("PUT", "/v1/collections/a/vectors", bearer(Role.WRITER), 200),
        ("HEAD", "/v1/collections/a/vectors", bearer(Role.READER), 200),
        ("OPTIONS", "/v1/collections/a/vectors", {}, 204),
        ("GET", "/v1/openapi.json", {}, 200),
        ("GET", "/health/ready", {}, 200),
        ("GET", "/metrics", {}, 200),
        ("GET", "/v1/collections/a/vectors", {}, 401),
        ("PUT", "/v1/collections/a/vectors", bearer(Role.READER), 403),
        ("GET", "/v1/nothing", {}, 404),
        ("DELETE", "/v1/collections/a/vectors", {}, 405),
        ("GET", "/v1/collections", bearer(Role.READER), 500),
    ],
)
def test_every_answer_says_once_how_it_may_be_taken_and_that_nobody_keeps_it(
    service: Service, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    for _ in range(2):
        response = call(service, method, path, headers=headers)
        assert response.status_code == status
        assert response.headers.get_list("cache-control") == ["no-store"]
        assert response.headers.get_list("x-content-type-options") == ["nosniff"]
        assert response.headers.get_list("strict-transport-security") == ["max-age=63072000; includeSubDomains"]
        assert len(response.headers.get_list("x-request-id")) == 1


def test_a_handler_may_say_how_long_its_answer_is_good() -> None:
    async def kept(_request: Request) -> Response:
        return Answer(b"{}", headers=[(b"cache-control", b"public, max-age=60")])

    service = build({}, public={("GET", "/v1/openapi.json"): kept}, verifier=OneToken(), max_body=1, ready=ready)
    assert call(service, "GET", "/v1/openapi.json").headers.get_list("cache-control") == ["public, max-age=60"]


def test_health_needs_no_token(service: Service) -> None:
    assert call(service, "GET", "/health/live").status_code == 200


def test_a_route_outside_the_access_table_cannot_be_served() -> None:
    with pytest.raises(ValueError, match="/v1/secret"):
        build({("GET", "/v1/secret"): echo}, verifier=OneToken(), max_body=1, ready=ready)
    with pytest.raises(ValueError, match="/v1/collections"):
        build({}, public={("GET", "/v1/collections"): description}, verifier=OneToken(), max_body=1, ready=ready)


def test_every_service_shows_its_figures_by_template_and_without_token(service: Service) -> None:
    call(service, "PUT", "/live/v1/collections/secret-name/vectors", headers=bearer(Role.WRITER), content=b"x")
    call(service, "GET", "/v1/collections/secret-name/vectors")
    call(service, "GET", "/v1/collections", headers=bearer(Role.READER))
    call(service, "GET", "/v1/secret-name")
    call(service, "GET", "/health/live")
    response = call(service, "GET", "/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    counted = [line for line in response.text.splitlines() if line.startswith("anfl_requests_total{")]
    assert counted == [
        'anfl_requests_total{method="PUT",route="/v1/collections/{name}/vectors",status="2xx"} 1.0',
        'anfl_requests_total{method="GET",route="/v1/collections/{name}/vectors",status="4xx"} 1.0',
        'anfl_requests_total{method="GET",route="/v1/collections",status="5xx"} 1.0',
        'anfl_requests_total{method="GET",route="unknown",status="4xx"} 1.0',
    ]
    assert "secret-name" not in response.text
