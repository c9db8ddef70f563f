"""Numbers of things, as people say them."""

import pytest

from anfl.wording import counted


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (0, ("file",), "0 files"),
        (1, ("file",), "1 file"),
        (2, ("file",), "2 files"),
        (1, ("entry", "entries"), "1 entry"),
        (2, ("entry", "entries"), "2 entries"),
    ],
)
def test_one_is_no_plural(number: int, words: tuple[str, ...], said: str) -> None:
    assert counted(number, *words) == said
