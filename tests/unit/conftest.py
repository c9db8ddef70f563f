"""What holds for every unit test."""

import pytest

from anfl import start
from local.aws import dynamodb


@pytest.fixture(autouse=True, scope="session")
def _settled() -> None:
    """As in every process of ANFL, structs are worked out before threads decode them."""
    start.settle()


@pytest.fixture(autouse=True, scope="session")
def _transactions() -> None:
    """In memory, too, a transaction does not copy the whole of its table."""
    dynamodb.apply(setattr)
