"""What docs/ shows of the templates is what the templates say; `make docs` refreshes it."""

import re
from pathlib import Path

import pytest

from stacks.conformance import main
from stacks.diagrams import DIAGRAMS
from stacks.diagrams.__main__ import main as draw
from stacks.diagrams.page import PageError, drawn
from stacks.figures.templates import Templates
from stacks.settings import ROOT
from tests.infrastructure.conftest import Assembly

PAGE = ROOT / "docs" / "aws_architecture.md"
STALE = "run: make docs (or make update-snapshots)"


@pytest.fixture(scope="module")
def templates(prod: Assembly) -> Templates:
    return Templates(prod.folder)


def test_the_page_of_conformance_is_up_to_date(
    prod: Assembly, capsys: pytest.CaptureFixture[str], pytestconfig: pytest.Config
) -> None:
    page = ROOT / "docs" / "conformance.md"
    assert main([str(prod.folder), "--markdown"]) == 0
    text = capsys.readouterr().out
    if pytestconfig.getoption("--update-snapshots"):
        page.write_text(text)
    assert text == page.read_text(), STALE


def test_the_drawings_are_up_to_date(templates: Templates, pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("--update-snapshots"):
        PAGE.write_text(drawn(PAGE.read_text(), templates))
    page = PAGE.read_text()
    assert drawn(page, templates) == page, STALE


def test_the_page_shows_every_drawing_once() -> None:
    assert sorted(re.findall(r"<!-- drawn: (\w+) -->", PAGE.read_text())) == sorted(DIAGRAMS)


def test_a_page_that_asks_for_an_unknown_drawing_is_refused(prod: Assembly, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- drawn: dreams -->\n<!-- /drawn -->\n")
    with pytest.raises(PageError, match="there is no drawing 'dreams'; known: order, network"):
        drawn(page.read_text(), Templates(prod.folder))
    assert draw([str(prod.folder), str(page)]) == 2
    assert page.read_text() == "<!-- drawn: dreams -->\n<!-- /drawn -->\n"


@pytest.mark.parametrize("name", DIAGRAMS)
def test_arrows_lead_from_and_to_nodes_that_are_drawn(assembly: Assembly, name: str) -> None:
    """Mermaid would draw a node of its own for an id that nobody declared."""
    text = DIAGRAMS[name](Templates(assembly.folder))
    declared = set(re.findall(r"^ *(n_\w+)(?=[\[(])", text, re.MULTILINE))
    arrows = [re.sub(r'"[^"]*"', "", line) for line in text.splitlines() if "->" in line]
    ends = {end for arrow in arrows for end in re.findall(r"\bn_\w+", arrow)}
    assert ends <= declared
    assert text.count("subgraph ") == len(re.findall(r"^ *end$", text, re.MULTILINE))


def test_the_way_of_a_request_follows_the_templates(templates: Templates) -> None:
    text = DIAGRAMS["requests"](templates)
    for label in ("api.lib.aeonova.com", "/v1/models*", "vector-store<br>ECS", "CloudFront<br>firewall"):
        assert label in text


def test_recovery_has_the_four_steps_in_their_order(templates: Templates) -> None:
    arrows = re.findall(r"n_(\w+) --> n_(\w+)", DIAGRAMS["recovery"](templates))
    assert arrows == [
        ("start", "validate_backup"),
        ("validate_backup", "restore_infrastructure"),
        ("restore_infrastructure", "verify_data"),
        ("verify_data", "update_dns"),
    ]


def test_operators_are_told_of_every_type_that_stays_behind(prod: Assembly) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    table = page.partition("## What stays behind")[2].partition("\nGone for good")[0]
    told = set(re.findall(r"`(AWS::\w+::\w+)`", table))
    staying = {
        resource["Type"]
        for template in prod
        for resource in template.document["Resources"].values()
        if resource.get("DeletionPolicy", "Delete") != "Delete"
    }
    assert told == staying
