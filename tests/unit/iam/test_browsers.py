"""Whoever runs ANFL on their machine may look at pages meanwhile: none of them gets at the embedded AWS."""

import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from unittest.mock import create_autospec
from urllib.parse import urlsplit

import pytest

from local.aws.runtime_api import PREFIX, Invocation, RuntimeApi
from local.aws.server import Application, listen
from local.iam.guard import Guard
from local.iam.ledger import Ledger

_SIGNED = "X-Amz-Credential=local/20260101/us-west-1/s3/aws4_request"
"""A link's signature: a page may send it without asking first."""
_PAGES = (
    {"Origin": "https://page.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Host": "page.example:4566"},
    {"Host": "127.0.0.1.page.example"},
    {"Host": "page-amazonaws.com"},
)
_OTHERS: tuple[dict[str, str], ...] = (
    {},
    {"Host": "localhost:4566"},
    {"Host": "bucket.localhost"},
    {"Host": "[::1]:4566"},
    {"Host": "sts.us-west-1.amazonaws.com"},
    {"Sec-Fetch-Site": "none"},
)


@pytest.fixture(name="endpoint", scope="module")
def _endpoint() -> Iterator[str]:
    guard = Guard(Application(), ledger=create_autospec(Ledger, instance=True))
    with listen(0, guard) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _asked(url: str, headers: dict[str, str], method: str = "GET") -> int:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=20)
    with closing(connection):
        connection.request(method, f"{parts.path}?{parts.query}".removesuffix("?"), headers=headers)
        with connection.getresponse() as answer:
            return answer.status


@pytest.mark.parametrize("headers", _PAGES)
def test_no_page_is_served_whatever_it_signs(endpoint: str, headers: dict[str, str]) -> None:
    for path in ("/", "/_anfl/resources", "/_anfl/grants", "/moto-api/data.json"):
        for method in ("GET", "POST", "OPTIONS"):
            assert _asked(f"{endpoint}{path}?{_SIGNED}", headers, method) == 403


@pytest.mark.parametrize("headers", _OTHERS)
def test_programs_and_whoever_types_an_address_are(endpoint: str, headers: dict[str, str]) -> None:
    assert _asked(f"{endpoint}/_anfl/health", headers) == 200


def test_no_page_takes_or_answers_a_functions_event() -> None:
    api = RuntimeApi()
    api.offer(Invocation(request_id="one", event=b"{}", arn="arn", timeout=3))
    try:
        url = f"http://{api.address}{PREFIX}"
        for headers in _PAGES:
            assert _asked(f"{url}invocation/next", headers) == 403
            assert _asked(f"{url}init/error", headers, "POST") == 403
        assert api.init_error is None
        assert _asked(f"{url}invocation/next", {}) == 200
    finally:
        api.close()
