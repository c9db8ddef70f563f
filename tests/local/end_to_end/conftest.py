"""One local run for all end-to-end tests, in which no role may be refused anything."""

from collections.abc import Iterator

import pytest

from tests.local.end_to_end import running
from tests.local.end_to_end.permissions import Permissions
from tests.local.end_to_end.running import Run


@pytest.fixture(scope="session")
def permissions() -> Permissions:
    """What the roles of every run here used, and what they were refused."""
    return Permissions()


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, permissions: Permissions) -> Iterator[Run]:
    """The whole system as ``make run`` starts it, sample included, in a hostile user environment."""
    run = running.start(tmp_path_factory.mktemp("run"))
    permissions.follow(run)
    yield run
    running.end(run)


@pytest.fixture(autouse=True)
def _nothing_is_refused(permissions: Permissions) -> Iterator[None]:
    """A permission that a template lacks fails the test, even where the code gets over it."""
    yield
    assert permissions.newly_refused() == []
