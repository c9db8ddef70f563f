"""What is printed for people and for pipes."""

import pytest

from anfl.cli.output import print_table


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
