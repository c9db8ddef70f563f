"""The functions `auth` and `authorizer` as a test calls them."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from anfl.auth.vault_setup import ClientCredentials
from anfl.protection import PROTECTION

METHOD_ARN = "arn:aws:execute-api:us-west-1:123456789012:abcdef1234/live/GET/v1/collections"
Handler = Callable[[dict[str, Any], object], dict[str, Any]]


def load(function: str) -> ModuleType:
    """A new process of it, as far as a module is one."""
    path = Path(__file__).parents[3] / "lambda_src" / function / "handler.py"
    spec = importlib.util.spec_from_file_location(f"handler_of_{function}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def event(
    method: str,
    path: str,
    *,
    body: object = None,
    raw: str | None = None,
    token: str | None = None,
    address: str = "192.0.2.1",
) -> dict[str, Any]:
    """A proxied request. :param address: whence it comes."""
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": {"Authorization": f"Bearer {token}"} if token else None,
        "body": raw if raw is not None else json.dumps(body) if body is not None else None,
        "isBase64Encoded": False,
        "requestContext": {"requestId": "", "identity": {"sourceIp": address}},
    }


def token_request(client: ClientCredentials, **changes: object) -> dict[str, Any]:
    """For a token by AppRole."""
    body = {"grant": "approle", "role_id": client.role_id, "secret_id": client.secret_id}
    return event("POST", "/v1/auth/token", body=body | changes)


def answered(response: dict[str, Any], status: int) -> dict[str, Any]:
    """The document of an answer, which must have this status."""
    assert response["statusCode"] == status, response["body"]
    assert PROTECTION.items() <= response["headers"].items()
    assert response["headers"]["cache-control"] in ("no-store", "public, max-age=60")
    document: dict[str, Any] = json.loads(response["body"])
    return document


def issue(auth: Handler, client: ClientCredentials) -> str:
    """A token."""
    token: str = answered(auth(token_request(client), None), 200)["access_token"]
    return token


def authorise(authorizer: Handler, token: str) -> dict[str, Any]:
    """Ask as API Gateway does."""
    return authorizer({"type": "TOKEN", "authorizationToken": f"Bearer {token}", "methodArn": METHOD_ARN}, None)
