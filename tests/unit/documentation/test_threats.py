"""The threat model names controls that are tested: each test that it names exists, each boundary has all of STRIDE."""

import re

import pytest

from bundling.sources import ROOT

PAGE = (ROOT / "docs" / "threat_model.md").read_text()
BOUNDARIES = re.findall(r"^## (\d+\. [^\n]+)\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`(tests/[^`]+)`", PAGE))))
def test_a_test_that_is_named_exists(named: str) -> None:
    path, _, name = named.partition("::")
    assert (ROOT / path).exists()
    if name:
        assert f"def {name}(" in (ROOT / path).read_text()


def test_every_boundary_of_the_drawing_has_its_table() -> None:
    drawn = {int(number) for number in re.findall(r"\|(\d+)\|", PAGE.partition("```mermaid")[2].partition("```")[0])}
    assert {int(title.partition(".")[0]) for title, _ in BOUNDARIES} == drawn | {2}


@pytest.mark.parametrize(("title", "text"), BOUNDARIES, ids=[title for title, _ in BOUNDARIES])
def test_a_boundary_has_every_kind_of_threat_with_a_control_and_a_test(title: str, text: str) -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:3] != "|--"]
    rows = [row for row in rows if len(row) == 4 and len(row[0]) == 1]
    assert "".join(row[0] for row in rows) == "STRIDE", title
    assert all(threat and control for _, threat, control, _ in rows)
    assert [row for row in rows if not re.search(r"`tests/[^`]+::", row[3])] == [], "a file is no test of a control"
