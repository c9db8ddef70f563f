"""Whether a request may be sent again whose answer got lost."""

import pytest
from starlette.types import Message

from anfl.http.requests import Request
from anfl.nodes.sending import by_request_id

pytestmark = pytest.mark.anyio


@pytest.fixture(name="anyio_backend")
def _anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("body", "again"),
    [
        (b'{"vectors": [], "request_id": "once"}', True),
        (b'{"vectors": []}', False),
        (b'{"request_id": null}', False),
        (b"{", True),
        (b'{"request_id": 7}', True),
        (b'{"x": ' * 100_000, True),
        (b'{"x": ' + b"[" * 100_000, True),
    ],
    ids=["with an id", "without", "null", "no JSON", "another type", "too deep", "too deep a list"],
)
async def test_what_has_an_id_or_is_refused_wherever_it_is_read(body: bytes, again: bool) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    request = Request({"type": "http", "method": "PUT", "headers": []}, receive, path="/", max_body=2**20)
    assert await by_request_id(request) is again
