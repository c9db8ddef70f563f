"""An embedded AWS with a class of each metric."""

from collections.abc import Iterator, Mapping

import pytest

from anfl.vectors.dynamodb.classes import EngineClass
from anfl.vectors.model import Metric
from tests.local.aws.conftest import Aws, running
from tests.local.dynamodb_engine.classes import create_class


@pytest.fixture(scope="session", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with running(tmp_path_factory.mktemp("engine")) as aws:
        yield aws


@pytest.fixture(scope="session", name="tables")
def _tables(server: Aws) -> Mapping[Metric, str]:
    """The name of a table of two dimensions for each metric."""
    return {
        metric: create_class(server, EngineClass(name=metric.value, dimension=2, metric=metric, strings=1, numbers=2))
        for metric in Metric
    }
