"""Whether the roles need what they are granted: keep this file the last, it judges what all others here did."""

from pathlib import Path

import pytest

from tests.local.end_to_end.permissions import Permissions
from tests.local.end_to_end.unused import UNUSED, covers


@pytest.fixture(name="whole_run", autouse=True)
def _whole_run(request: pytest.FixtureRequest) -> None:
    """Part of the tests says nothing about all grants."""
    chosen = {item.path for item in request.session.items}
    if request.config.option.keyword or not chosen >= set(Path(__file__).parent.glob("test_*.py")):
        pytest.skip("needs every end-to-end test in the same run")
    if request.session.testsfailed:
        pytest.skip("a test failed that may not have used what it uses")


def test_every_grant_is_used_or_listed_with_the_reason(permissions: Permissions) -> None:
    listed = [cell for unused in UNUSED for cell in unused.cells()]
    idle = permissions.granted - permissions.used()
    assert {grant for grant in idle if not any(covers(cell, grant) for cell in listed)} == set()


def test_what_is_listed_as_unused_is_granted_and_never_used(permissions: Permissions) -> None:
    used = permissions.used()
    for cell in (cell for unused in UNUSED for cell in unused.cells()):
        assert any(covers(cell, grant) for grant in permissions.granted), f"nobody is granted {cell}"
        assert [grant for grant in used if covers(cell, grant)] == []
