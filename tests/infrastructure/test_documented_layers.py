"""The table of layers in the documentation names every layer that there is, and no other."""

import re

from stacks.layers import layer_of
from stacks.settings import ROOT
from tests.infrastructure.conftest import Assembly

PAGE = ROOT / "docs" / "aws_architecture.md"


def test_every_layer_stands_in_the_table(prod: Assembly) -> None:
    table = PAGE.read_text().partition("## Resources by layer")[2].partition("\n## ")[0]
    rows = [row.split("|")[1].strip() for row in table.splitlines() if row.startswith("| ")][1:]
    named = {re.sub(r" \(.*\)", "", name).strip().replace(" ", "-") for row in rows for name in row.split(",")}
    there = {layer_of(name, "prod").removeprefix("global-") for name in prod.stacks}
    assert named == there
