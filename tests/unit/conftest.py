"""What holds for every unit test."""

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore import useragent
from botocore.hooks import EventAliaser
from botocore.loaders import Loader, create_loader
from moto.core import models, responses, utils
from moto.core.base_backend import BaseBackend

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


@pytest.fixture(autouse=True, scope="session")
def _worked_out_once() -> Iterator[None]:
    """What botocore and moto make of names alone is kept: they make it anew for each client, request and test."""
    made = EventAliaser.__init__
    names: dict[str, str] = {}
    urls: Any = BaseBackend.urls
    paths = functools.cache(lambda kind: urls.fget(object.__new__(kind)))

    numbers = itertools.count()

    def request_id(headers: Any = None) -> str:
        made = f"{next(numbers):052d}"
        if isinstance(headers, dict):
            headers["x-amzn-requestid"] = made
        return made

    def aliaser(self: EventAliaser, *args: Any) -> None:
        made(self, *args)
        vars(self)["_alias_name_cache"] = names

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EventAliaser, "__init__", aliaser)
        sanitized = functools.cache(useragent.sanitize_user_agent_string_component)
        patch.setattr(useragent, "sanitize_user_agent_string_component", sanitized)
        patch.setattr(responses, "method_names_from_class", functools.cache(utils.method_names_from_class))
        patch.setattr(responses, "gen_amzn_requestid_long", request_id)  # it draws each of 52 letters
        patch.setattr(BaseBackend, "urls", property(lambda self: paths(self.__class__)))
        patch.setattr(models, "RESPONSES_METHODS", ())  # nothing asks AWS by the package requests
        yield
