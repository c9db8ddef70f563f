"""The gateway as a client sees it, over real HTTP."""

import base64
import contextlib
import http.client
import socket
from typing import Any

import httpx
import pytest

from tests.local.gateway.fakes import Backends, allow, decoded, token

OVER_LIMIT = 10 * 1024 * 1024 + 1


def test_forwards_with_the_stage_and_the_declared_headers(gateway: httpx.Client, backends: Backends) -> None:
    backends.authorizer_answer = allow("*", tenant="demo")

    response = gateway.post(
        "/v1/items/a%2Fb/query?k=1&k=%20", content=b"\x00body", headers=token() | {"te": "trailers"}
    )

    assert response.status_code == 200
    [seen] = backends.requests
    assert seen["target"] == "/live/v1/items/a%2Fb/query?k=1&k=%20"
    assert seen["body"] == b"\x00body"
    headers = {name.lower(): value for name, value in seen["headers"].items()}
    assert headers["x-tenant"] == "demo"
    assert headers["host"] == "services.internal"
    assert headers["x-path"] == "/v1/items/a%2Fb/query"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-amzn-requestid"] == response.headers["x-amzn-requestid"]
    assert "te" not in headers


def test_keeps_framing_headers_to_itself_and_remaps_the_challenge(gateway: httpx.Client) -> None:
    response = gateway.get("/v1/items/a", headers=token())

    assert response.headers["x-amzn-remapped-www-authenticate"] == "Bearer"
    assert "www-authenticate" not in response.headers
    assert response.headers.get("connection") != "close"


def test_authorizer_is_asked_once_a_token(gateway: httpx.Client, backends: Backends) -> None:
    for name in ("a", "b", "c"):
        assert gateway.get(f"/v1/items/{name}", headers=token("one")).status_code == 200
    assert backends.authorizations() == 1

    gateway.get("/v1/items/a", headers=token("two"))
    assert backends.authorizations() == 2
    event = backends.invocations[0][1]
    assert event == {
        "type": "TOKEN",
        "authorizationToken": "Bearer one",
        "methodArn": "arn:aws:execute-api:us-west-1:123456789012:api1/live/GET/v1/items/a",
    }


def test_cached_policy_is_evaluated_for_each_method(gateway: httpx.Client, backends: Backends) -> None:
    backends.authorizer_answer = allow("GET/v1/items/*")

    assert gateway.get("/v1/items/a", headers=token()).status_code == 200
    refused = gateway.put("/v1/items/a", headers=token())

    assert refused.status_code == 403
    assert decoded(refused)["code"] == "forbidden"
    assert backends.authorizations() == 1
    assert len(backends.requests) == 1


def test_explicit_deny_wins(gateway: httpx.Client, backends: Backends) -> None:
    backends.authorizer_answer = allow("*", deny=("*/items/secret",))

    assert gateway.get("/v1/items/open", headers=token()).status_code == 200
    assert gateway.get("/v1/items/secret", headers=token()).status_code == 403


@pytest.mark.parametrize("headers", [{}, {"authorization": ""}, {"authorization": "Basic x"}])
def test_without_a_bearer_token_nothing_is_invoked(
    gateway: httpx.Client, backends: Backends, headers: dict[str, str]
) -> None:
    response = gateway.get("/v1/items/a", headers=headers)

    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    document = decoded(response)
    assert document["code"] == "unauthorized"
    assert document["request"] == response.headers["x-amzn-requestid"] + "."
    assert backends.invocations == []


def test_unauthorized_is_not_remembered(gateway: httpx.Client, backends: Backends) -> None:
    backends.authorizer_answer = lambda _: RuntimeError("Unauthorized")
    assert gateway.get("/v1/items/a", headers=token()).status_code == 401

    backends.authorizer_answer = allow("*")
    assert gateway.get("/v1/items/a", headers=token()).status_code == 200


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (RuntimeError("Vault is sealed"), 503, "authorizer_unavailable"),
        ({"policyDocument": {}}, 500, "unavailable"),
        ({"principalId": "p", "policyDocument": {"Statement": [{"Effect": "Maybe"}]}}, 500, "unavailable"),
    ],
)
def test_fails_closed_when_there_is_no_verdict(
    gateway: httpx.Client, backends: Backends, answer: Any, status: int, code: str
) -> None:
    backends.authorizer_answer = lambda _: answer

    response = gateway.get("/v1/items/a", headers=token())

    assert (response.status_code, decoded(response)["code"]) == (status, code)
    assert backends.requests == []


@pytest.mark.parametrize(("method", "path"), [("GET", "/v2/items"), ("DELETE", "/v1/items/a"), ("GET", "/v1/items")])
def test_undeclared_route_is_answered_by_the_gateway(
    gateway: httpx.Client, backends: Backends, method: str, path: str
) -> None:
    response = gateway.request(method, path, headers=token())

    assert (response.status_code, decoded(response)["code"]) == (404, "no_such_route")
    assert (backends.invocations, backends.requests) == ([], [])


def test_body_over_ten_megabytes(gateway: httpx.Client, backends: Backends) -> None:
    response = gateway.put("/v1/items/a", content=bytes(OVER_LIMIT), headers=token())

    assert (response.status_code, decoded(response)["code"]) == (413, "too_large")
    assert backends.requests == []


def test_body_over_ten_megabytes_of_undeclared_length(gateway: httpx.Client, backends: Backends) -> None:
    chunks = (bytes(1024 * 1024) for _ in range(11))

    assert gateway.put("/v1/items/a", content=chunks, headers=token()).status_code == 413
    assert backends.requests == []


def test_body_of_ten_megabytes_passes(gateway: httpx.Client, backends: Backends) -> None:
    assert gateway.put("/v1/items/a", content=bytes(OVER_LIMIT - 1), headers=token()).status_code == 200
    assert len(backends.requests[0]["body"]) == OVER_LIMIT - 1


def test_integration_that_takes_too_long(gateway: httpx.Client) -> None:
    response = gateway.get("/v1/slow", headers=token())

    assert (response.status_code, decoded(response)["code"]) == (504, "unavailable")


def test_stopped_service(gateway: httpx.Client) -> None:
    response = gateway.get("/v1/stopped", headers=token())

    assert response.status_code == 503
    assert response.headers["content-type"] == "text/html"


def test_greedy_path(gateway: httpx.Client, backends: Backends) -> None:
    assert gateway.get("/v1/files/a/b%20c/d.bin", headers=token()).status_code == 200
    assert backends.requests[0]["target"] == "/live/v1/files/a/b%20c/d.bin"


@pytest.mark.parametrize("name", ["a%00b", "a%0D%0Ab", "%FF", "%C3%A9"])
def test_what_no_header_can_hold_is_left_to_the_service(gateway: httpx.Client, backends: Backends, name: str) -> None:
    status = gateway.get(f"/v1/files/{name}", headers=token()).status_code
    assert status == (404 if "%0A" in name else 200)  # the fake service knows no such path
    assert [seen["target"] for seen in backends.requests] == [f"/live/v1/files/{name}"] * (status == 200)


def test_lambda_proxy_round_trip(gateway: httpx.Client, backends: Backends) -> None:
    backends.function_answer = {
        "statusCode": 201,
        "headers": {"Content-Type": "application/x-token", "x-one": "replaced"},
        "multiValueHeaders": {"X-One": ["1", "2"]},
        "body": base64.b64encode(b"\x00\xff").decode(),
        "isBase64Encoded": True,
    }

    response = gateway.post("/v1/token?a=1&a=2", content=b'{"grant":"approle"}', headers={"x-many": "m"})

    assert (response.status_code, response.content) == (201, b"\x00\xff")
    assert response.headers["content-type"] == "application/x-token"
    assert response.headers.get_list("x-one") == ["1", "2"]
    [(_, event)] = backends.invocations
    assert (event["httpMethod"], event["path"], event["resource"]) == ("POST", "/v1/token", "/v1/token")
    assert base64.b64decode(event["body"]) == b'{"grant":"approle"}'
    assert event["isBase64Encoded"] is True
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"]}
    assert event["queryStringParameters"] == {"a": "2"}
    assert event["multiValueHeaders"]["x-many"] == ["m"]
    assert event["requestContext"]["stage"] == "live"
    assert event["requestContext"]["requestId"] == response.headers["x-amzn-requestid"]


@pytest.mark.parametrize(
    "answer", [RuntimeError("boom"), {"body": "no status"}, "text", {"statusCode": 200, "body": 1}]
)
def test_function_that_fails_or_answers_nonsense(gateway: httpx.Client, backends: Backends, answer: Any) -> None:
    backends.function_answer = answer

    response = gateway.post("/v1/token")

    assert (response.status_code, decoded(response)["code"]) == (502, "unavailable")


def test_serves_after_a_reload(gateway: httpx.Client) -> None:
    assert gateway.post("/_anfl/reload").status_code == 204
    assert gateway.get("/v1/items/a", headers=token()).status_code == 200


def test_keeps_the_connection_after_a_refusal(gateway: httpx.Client) -> None:
    """A refused upload is drained, so that the client can read the answer and go on."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.base_url.port, timeout=5)
    with contextlib.closing(connection):
        connection.request("PUT", "/v1/items/a", body=bytes(OVER_LIMIT))
        refusal = connection.getresponse()
        assert (refusal.status, len(refusal.read())) == (413, int(refusal.headers["content-length"]))
        used = connection.sock
        connection.request("POST", "/_anfl/reload")
        assert connection.getresponse().status == 204
        assert connection.sock is used


@pytest.mark.parametrize(("length", "status"), [(OVER_LIMIT, 413), (OVER_LIMIT - 1, 401)])
def test_a_client_that_closes_can_send_everything_before_it_reads_the_refusal(
    gateway: httpx.Client, length: int, status: int
) -> None:
    with _connection(gateway) as connection:
        head = f"PUT /v1/items/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        connection.sendall(head.encode())
        for start in range(0, length, 65536):
            connection.sendall(bytes(min(65536, length - start)))
        assert connection.recv(4096).startswith(f"HTTP/1.1 {status}".encode())


def test_a_client_that_asks_before_it_sends_is_refused_at_once(gateway: httpx.Client) -> None:
    with _connection(gateway) as connection:
        head = f"PUT /v1/items/a HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {OVER_LIMIT}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def _connection(gateway: httpx.Client) -> socket.socket:
    port = gateway.base_url.port
    assert port is not None
    return socket.create_connection(("127.0.0.1", port), timeout=5)
