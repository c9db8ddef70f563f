"""Every construct has a test of its defaults, and another with everything set; each helper is tested by its name."""

import ast
import importlib
import inspect
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from constructs import Construct

from stacks.settings import ROOT
from tests.infrastructure.constructs.conftest import MARKS, leaves_all_options, sets_all

HERE = Path(__file__).parent
MODULES = sorted(file.stem for file in (ROOT / "constructs").glob("*.py"))


def module(name: str) -> ModuleType:
    return importlib.import_module(f"constructs.{name}")


def own(found: ModuleType) -> Iterator[tuple[str, Any]]:
    """What the module itself defines for others."""
    for name, value in vars(found).items():
        if not name.startswith("_") and getattr(value, "__module__", None) == found.__name__:
            yield name, value


def is_construct(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Construct)


def marked(trees: Iterable[ast.AST]) -> dict[str, dict[str, int]]:
    """By mark and name of a construct: on how many tests, or cases of one, the mark stands."""
    found: dict[str, dict[str, int]] = {mark: defaultdict(int) for mark in MARKS}
    for node in (node for tree in trees for node in ast.walk(tree)):
        match node:
            case ast.Call(func=ast.Attribute(attr=mark), keywords=[ast.keyword("of", ast.Name(id=name))]) if (
                mark in MARKS
            ):
                found[mark][name] += 1
    return found


@cache
def sources() -> tuple[ast.AST, ...]:
    return tuple(ast.parse(file.read_text()) for file in HERE.glob("test_*.py") if file != Path(__file__))


@cache
def marks() -> dict[str, dict[str, int]]:
    return marked(sources())


@cache
def used() -> frozenset[str]:
    """Every name in a test."""
    nodes = (node for source in sources() for node in ast.walk(source))
    return frozenset(
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in nodes
        if isinstance(node, ast.Attribute | ast.Name)
    )


CONSTRUCTS = [name for found in map(module, MODULES) for name, value in own(found) if is_construct(value)]


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_every_construct_has_a_test(construct: str, mark: str) -> None:
    assert marks()[mark].get(construct), f"mark a test of {construct}: @pytest.mark.{mark}(of={construct})"


@pytest.mark.parametrize("mark", MARKS)
def test_no_mark_is_left_over_from_a_construct_that_is_gone(mark: str) -> None:
    assert marks()[mark].keys() == set(CONSTRUCTS)


@pytest.mark.parametrize("name", [name for name in MODULES if not any(is_construct(v) for _, v in own(module(name)))])
def test_every_helper_that_makes_no_construct_is_tested_too(name: str) -> None:
    missing = {helper for helper, value in own(module(name)) if inspect.isfunction(value)} - used()
    assert not missing, f"constructs/{name}.py"


def test_a_construct_without_its_pair_is_found() -> None:
    found = marked([ast.parse("@pytest.mark.defaults(of=Lonely)\ndef test_it() -> None: ...")])
    assert found["defaults"]["Lonely"] == 1
    assert not found["everything"]["Lonely"]


def test_a_mark_means_what_it_says() -> None:
    options: dict[str, Any] = {"size": 1, "peer": None}
    assert leaves_all_options(options, {"name": "n"})
    assert not leaves_all_options(options, {"name": "n", "size": 1})
    names = {"name", *options}
    assert sets_all(options, names, {"name": "n", "size": 2, "peer": "p"})
    assert not sets_all(options, names, {"name": "n", "size": 1, "peer": "p"}), "a default is nothing set"
    assert not sets_all(options, names, {"name": "n", "size": 2})
    assert not sets_all(options, names, {"name": "", "size": 2, "peer": "p"})
