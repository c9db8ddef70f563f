"""What the documentation says of the engines is what requests are checked by."""

import pytest

from anfl.vectors.dynamodb.capabilities import Capability
from documentation.engines import PAGE, filled


def test_the_page_shows_the_present_matrix() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page) == page, "run `make docs`"


def test_every_limit_stands_there_with_what_does_instead() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"| {each.value.what} | {each.value.instead} |" in page for each in Capability)


def test_a_page_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(ValueError, match="0 places"):
        filled("# Engines\n")
