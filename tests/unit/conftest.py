"""What holds for every unit test."""

from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.loaders import Loader, create_loader

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


@pytest.fixture(autouse=True, scope="session")
def _models_of_services() -> Iterator[None]:
    """What botocore read of AWS's services is kept for the next session: each would read it anew, for each client."""
    read: dict[Any, Any] = {}

    def loader(search_path: str | None = None) -> Loader:
        made = create_loader(search_path)
        vars(made)["_cache"] = read
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", loader)
        yield
