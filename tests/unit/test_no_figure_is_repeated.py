"""A figure of architecture.yaml stands in no source a second time.

What the templates come to, `tests/infrastructure/test_every_figure.py` holds; this finds repetitions that a change of
one figure alone would not show, because code and architecture happen to agree today.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.settings import ROOT

SOURCES = ("stacks", "constructs", "anfl", "lambda_src", "services", "monitoring", "vault")
DECIDED = {
    "cidr_block",
    "cooldown",
    "instance_type",
    "max_size",
    "max_tasks",
    "memory_size",
    "min_size",
    "min_tasks",
    "rotation_period",
}
"""Arguments whose value is a figure wherever the stacks give one."""


def architecture() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "architecture.yaml").read_text()))


def names() -> set[str]:
    """Figures that nothing else could mean: networks, types of instances, zones."""
    tree = architecture()
    network = tree["network"]
    return {
        network["vpc"]["cidr"],
        *network["vpc"]["subnets"]["public"],
        *network["vpc"]["subnets"]["private"],
        *network["global"]["route53"]["zones"],
        *(cluster["instance_type"] for cluster in tree["compute"]["ecs"]["clusters"]),
    }


WRITTEN_FROM_TEMPLATES = {"conformance.md", "cost.md"}
"""Pages of which ``make docs`` writes the whole; of `aws_architecture.md` it writes the drawings."""


def sayings() -> set[str]:
    """How prose says figures that a number alone would not give away."""
    tree = architecture()
    memories = [function["memory"] for function in tree["compute"]["lambda"]["functions"]]
    return {
        f"every {tree['encryption']['at_rest']['key_rotation']}",
        *(f"{memory:,} {unit}" for memory in memories for unit in ("MB", "MiB")),
        *(f"function's {function['timeout']}" for function in tree["compute"]["lambda"]["functions"]),
    }


def prose(page: str) -> str:
    """A page without its drawings, which are made from the templates."""
    return re.sub(r"```mermaid.*?```", "", page, flags=re.DOTALL)


def literals(code: str) -> Iterator[str]:
    """Every piece of text in ``code`` that is no docstring."""
    tree = ast.parse(code)
    prose = {id(statement.value) for statement in ast.walk(tree) if isinstance(statement, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def decided_by_hand(code: str) -> Iterator[str]:
    """Arguments of `DECIDED` that are given a number or text as it stands."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.keyword) and node.arg in DECIDED and isinstance(node.value, ast.Constant):
            yield f"{node.arg}={node.value.value!r}"


def python_files(*folders: str) -> list[Path]:
    return [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]


def test_a_repetition_would_be_found() -> None:
    assert "10.0.1.0/24" in names()
    assert "every 90 days" in sayings()
    assert prose("a ```mermaid 10.0.1.0/24 ``` b") == "a  b"
    assert list(literals('"""Not 10.0.1.0/24."""\nx = f(cidr="10.0.1.0/24")')) == ["10.0.1.0/24"]
    assert list(decided_by_hand("Cluster(min_size=3, max_size=settings.max_size)")) == ["min_size=3"]


def test_no_code_repeats_a_name() -> None:
    files = python_files(*SOURCES)
    assert len(files) > 150
    figures = names()
    assert [
        f"{file.relative_to(ROOT)}: {text}"
        for file in files
        for text in literals(file.read_text())
        if any(name in text for name in figures)
    ] == []


@pytest.mark.parametrize("folder", ["environments", "monitoring", "vault"])
def test_no_other_file_repeats_a_name(folder: str) -> None:
    files = [file for file in (ROOT / folder).rglob("*") if file.is_file() and file.suffix != ".pyc"]
    assert files
    figures = names()
    for file in files:
        assert [name for name in figures if name in file.read_text()] == [], file.relative_to(ROOT)


def test_no_page_repeats_a_figure() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        if page.name not in WRITTEN_FROM_TEMPLATES:
            text = prose(page.read_text())
            assert [saying for saying in names() | sayings() if saying in text] == [], page.name


def test_no_source_says_a_figure_in_its_prose() -> None:
    figures = names() | sayings()
    found = [file for file in python_files(*SOURCES) if any(figure in file.read_text() for figure in figures)]
    assert [str(file.relative_to(ROOT)) for file in found] == []


def test_no_argument_that_a_figure_decides_is_given_by_hand() -> None:
    files = python_files("stacks", "constructs")
    given = {
        node.arg
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.keyword) and node.arg in DECIDED
    }
    assert given == DECIDED
    assert [f"{file.relative_to(ROOT)}: {what}" for file in files for what in decided_by_hand(file.read_text())] == []
