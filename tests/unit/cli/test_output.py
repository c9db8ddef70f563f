"""What is printed for people and for pipes."""

import json

import pytest

from anfl.cli.output import console, errors, print_json, print_table

ORDERS = "a\x1b]0;title\x07b\x9bc\x7f:smile:"
"""What a terminal obeys, and what `rich` would make a picture of."""
SHOWN = r"a\x1b]0;title\x07b\x9bc\x7f:smile:"


def test_a_table_in_a_pipe_is_whole_and_has_one_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, object]] = [
        {"id": "a", "text": "x" * 300, "n": 0.25},
        {"id": "longer", "text": "two\nlines", "n": None},
    ]
    print_table(rows, ["id", "text", "n"], empty="")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1] == f"a       {'x' * 300}  0.2500"
    assert lines[2] == "longer  two lines"


def test_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([], ["id"], empty="Nothing.")
    assert capsys.readouterr().out == "Nothing.\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_obeys_nothing_that_somebody_wrote_into_a_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr(console, "_force_terminal", terminal)
    print_table([{"id": ORDERS}], ["id"], empty="")
    console.print(ORDERS)
    errors.print(ORDERS)
    printed = capsys.readouterr()
    assert printed.out.count(SHOWN) == 2
    assert printed.err == f"{SHOWN}\n"


def test_json_is_the_same_without_anything_to_obey(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"id": ORDERS})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"id": ORDERS}
    assert not {"\x1b", "\x07", "\x7f", "\x9b"} & {*printed}
