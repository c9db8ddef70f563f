"""Addresses are replaced whole, and only by loopback ones."""

import pytest

from local.addresses import AddressBook
from local.guard import NotLoopbackError, require_loopback

BOOK = AddressBook(
    entries={
        "http://vault:8200": "http://127.0.0.1:1",
        "http://vault:8200/v2": "http://127.0.0.1:2",
        "cache.internal": "127.0.0.1",
    }
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("http://vault:8200", "http://127.0.0.1:1"),
        ("http://vault:8200/v1/sys", "http://127.0.0.1:1/v1/sys"),
        ("http://vault:8200/v2/sys", "http://127.0.0.1:2/sys"),
        ("http://vault:82001", "http://vault:82001"),
        ("see http://vault:8200", "see http://vault:8200"),
        ("cache.internal", "127.0.0.1"),
        ("cache.internal.example", "cache.internal.example"),
        ("cache.internal:6379", "127.0.0.1:6379"),
    ],
)
def test_longest_whole_address_is_replaced(value: str, expected: str) -> None:
    assert BOOK.substitute({"A": value, "B": "kept"}) == {"A": expected, "B": "kept"}


@pytest.mark.parametrize(
    "url",
    [
        "https://dynamodb.us-west-1.amazonaws.com",
        "http://10.0.0.1:80",
        "http://127.0.0.1.example.com",
        "http://127.0.0.1@example.com",
        "http://localhost@127.0.0.1",
        "ftp://127.0.0.1",
        "127.0.0.1:80",
        "",
    ],
)
def test_addresses_outside_this_machine_are_refused(url: str) -> None:
    with pytest.raises(NotLoopbackError, match="loopback"):
        require_loopback(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:80", "http://localhost:80/x", "https://[::1]:80"])
def test_loopback_addresses_pass(url: str) -> None:
    assert require_loopback(url) == url


def test_address_book_refuses_entries_that_lead_away() -> None:
    with pytest.raises(NotLoopbackError):
        AddressBook.decode('{"http://vault:8200": "http://vault.example.com"}')
