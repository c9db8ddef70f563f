"""One local run for all end-to-end tests."""

from collections.abc import Iterator

import pytest

from tests.local.end_to_end import running
from tests.local.end_to_end.running import Run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The whole system as ``make run`` starts it, sample included, in a hostile user environment."""
    run = running.start(tmp_path_factory.mktemp("run"))
    yield run
    running.end(run)
