"""What holds for every unit test."""

import pytest

from anfl import start


@pytest.fixture(autouse=True, scope="session")
def _settled() -> None:
    """As in every process of ANFL, structs are worked out before threads decode them."""
    start.settle()
