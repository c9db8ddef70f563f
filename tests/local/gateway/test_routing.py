"""Which declared path a request belongs to."""

import pytest

from local.gateway.routing import Router


@pytest.fixture
def router() -> Router[str]:
    router: Router[str] = Router()
    for path in ("/v1/{name}", "/v1/list", "/v1/{name}/query", "/v1/list/all", "/files/{path+}", "/"):
        router.add(path, path)
    return router


@pytest.mark.parametrize(
    ("request_path", "declared", "parameters"),
    [
        ("/v1/list", "/v1/list", {}),
        ("/v1/other", "/v1/{name}", {"name": "other"}),
        ("/v1/list/query", "/v1/{name}/query", {"name": "list"}),
        ("/v1/a%2Fb/query", "/v1/{name}/query", {"name": "a/b"}),
        ("/files/a/b", "/files/{path+}", {"path": "a/b"}),
        ("/v1/list/", "/v1/list", {}),
        ("/", "/", {}),
    ],
)
def test_finds(router: Router[str], request_path: str, declared: str, parameters: dict[str, str]) -> None:
    assert router.find(request_path) == (declared, parameters)


@pytest.mark.parametrize("request_path", ["/v1", "/v2/a", "/v1/a/b", "/files", "/v1//query", "/V1/list"])
def test_finds_nothing(router: Router[str], request_path: str) -> None:
    assert router.find(request_path) is None
