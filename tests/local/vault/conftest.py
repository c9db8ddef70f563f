"""A development Vault on loopback with a clock that tests turn, and hvac clients of it."""

import threading
import time
from collections.abc import Callable, Iterator

import hvac
import pytest

from local.vault.build import build_open
from local.vault.http import serve

ROOT_TOKEN = "root-of-this-test"


class Clock:
    """The time, plus what a test has let pass."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return time.time() + self.passed


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def address(clock: Clock) -> Iterator[str]:
    server = serve(build_open(root_token=ROOT_TOKEN, clock=clock))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def root(address: str) -> hvac.Client:
    return hvac.Client(url=address, token=ROOT_TOKEN)


@pytest.fixture
def holder(root: hvac.Client, address: str) -> Callable[[str], hvac.Client]:
    """A client whose token has one policy with this text."""

    def make(policy: str) -> hvac.Client:
        root.sys.create_or_update_acl_policy("of-the-holder", policy)
        token = root.auth.token.create(policies=["of-the-holder"])["auth"]["client_token"]
        return hvac.Client(url=address, token=token)

    return make
