"""An embedded AWS with classes, and the API over both engines."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.local.aws.conftest import Aws, running
from tests.local.dynamodb_engine.classes import CLASSES, create_class
from tests.local.dynamodb_engine.contract import ENGINES, Api, serving
from tests.unit.vectors.importing import Place


@pytest.fixture(scope="session", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with running(tmp_path_factory.mktemp("engine")) as aws:
        for each in CLASSES:
            create_class(aws, each)
        yield aws


@pytest.fixture(scope="session", name="service")
def _service(server: Aws) -> Iterator[tuple[httpx.Client, Place, Callable[[], None]]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        with serving(server) as parts:
            yield parts


@pytest.fixture(name="api", params=ENGINES)
def _api(request: pytest.FixtureRequest, service: tuple[httpx.Client, Place, Callable[[], None]]) -> Api:
    return Api(request.param, *service)
