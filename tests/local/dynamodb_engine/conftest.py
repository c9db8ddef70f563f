"""An embedded AWS with a class of each metric."""

from collections.abc import Iterator

import pytest

from anfl.vectors.model import Metric
from tests.local.aws.conftest import Aws, running
from tests.local.dynamodb_engine.classes import class_of, create_class


@pytest.fixture(scope="session", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with running(tmp_path_factory.mktemp("engine")) as aws:
        for metric in Metric:
            create_class(aws, class_of(metric))
        yield aws
