"""Holds tests to their marks: ``defaults`` and ``everything`` say how a test makes a construct, and it must."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

Call = Mapping[str, Any]
MARKS = ("defaults", "everything")


def leaves_all_options(options: Call, call: Call) -> bool:
    """Whether nothing that has a default is given. :param options: their defaults."""
    return not options.keys() & call.keys()


def sets_all(options: Call, parameters: set[str], call: Call) -> bool:
    """Whether every parameter is given something, and every option something else than its default."""
    return all(call.get(name) and call[name] != options.get(name) for name in parameters)


@pytest.fixture(autouse=True)
def held_to_its_mark(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test with ``@pytest.mark.defaults(of=Construct)`` makes one so, and one with ``everything`` likewise."""
    marks = [(mark.name, mark.kwargs["of"]) for mark in request.node.iter_markers() if mark.name in MARKS]
    made = {kind: _record(kind, monkeypatch) for _, kind in marks}
    yield
    for name, kind in marks:
        parameters = _parameters(kind)
        options = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
        if name == "defaults":
            assert any(leaves_all_options(options, call) for call in made[kind]), f"no {kind.__name__} without options"
        else:
            held = any(sets_all(options, set(parameters), call) for call in made[kind])
            assert held, f"no {kind.__name__} with everything set: {sorted(parameters)}"


def _parameters(kind: type) -> Mapping[str, inspect.Parameter]:
    """What a construct can be told, by keyword."""
    signature = inspect.signature(inspect.unwrap(vars(kind)["__init__"]))
    return {n: p for n, p in signature.parameters.items() if p.kind is p.KEYWORD_ONLY}


def _record(kind: type, monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """The keywords of each call that makes a ``kind`` from now on."""
    calls: list[Call] = []
    original: Callable[..., None] = vars(kind)["__init__"]

    @functools.wraps(original)
    def init(self: object, *args: Any, **kwargs: Any) -> None:
        calls.append(kwargs)
        original(self, *args, **kwargs)

    monkeypatch.setattr(kind, "__init__", init)
    return calls
