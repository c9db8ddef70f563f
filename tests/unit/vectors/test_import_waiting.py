"""Whoever looks at an import that does not go on sees what it waits for."""

from dataclasses import replace
from typing import Any

import pytest

from anfl.problems import Problem, unavailable
from anfl.vectors.imports.model import IN_LINE, State, Waiting
from anfl.vectors.imports.requests import ImportPage
from anfl.vectors.imports.worker import SIGN_SECONDS
from tests.unit.vectors.importing import Place, row, text_of
from tests.unit.vectors.test_store import WORDS

TEXT = text_of(row("a"), row("b"))


@pytest.fixture(autouse=True)
def _collection(place: Place) -> None:
    place.store.create("demo", WORDS)


def waits(place: Place, import_id: str) -> str | None:
    """The code of what it waits for; both ways to look agree."""
    shown = place.show(import_id)
    [listed] = place.imports.page("demo", ImportPage()).imports
    assert shown.waiting == listed.waiting
    return None if shown.waiting is None else shown.waiting.code


def test_nobody_is_at_it_yet(place: Place) -> None:
    begun = place.begin(jsonl=TEXT)
    assert waits(place, begun.id) is None, "it is the owner's turn"
    place.upload(begun, jsonl=TEXT)
    place.imports.start("demo", begun.id)
    assert waits(place, begun.id) == IN_LINE
    place.work()
    assert place.show(begun.id).state is State.DONE
    assert waits(place, begun.id) is None


def test_while_somebody_is_at_it_and_after_they_went_away(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    import_id = place.started(jsonl=TEXT)
    place.carry_out(place.service.take())  # type: ignore[arg-type]
    chunk = place.function.take()
    assert chunk is not None
    seen = []

    def killed(*_: Any, **_named: Any) -> Any:
        seen.append(waits(place, import_id))
        place.time.advance(SIGN_SECONDS - 1)
        place.worker.still_at(chunk, place.attempt())
        place.time.advance(SIGN_SECONDS - 1)
        seen.append(waits(place, import_id))
        raise SystemExit

    monkeypatch.setattr(place.store, "write", killed)
    with pytest.raises(SystemExit):
        place.carry_out(chunk)
    assert seen == [None, None]
    place.time.advance(1)
    assert waits(place, import_id) == IN_LINE


def test_the_store_is_busy(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    import_id = place.started(jsonl=TEXT)
    place.carry_out(place.service.take())  # type: ignore[arg-type]
    write, seen = place.store.write, list[Waiting | None]()
    clock = place.time.clock()

    def slept(seconds: float) -> None:
        place.time.advance(seconds - 0.5)
        seen.append(place.show(import_id).waiting)
        place.time.advance(0.5)

    def busy(*arguments: Any, **named: Any) -> Any:
        if len(seen) < 2:
            raise Problem(429, "builder_behind", "slow down", retry_after=20)
        place.time.advance(5)  # it takes a while, and is no wait
        seen.append(place.show(import_id).waiting)
        return write(*arguments, **named)

    monkeypatch.setattr(place.store, "write", busy)
    chunk = place.function.take()
    assert chunk is not None
    place.worker.carry_out(chunk, replace(place.attempt(), clock=replace(clock, sleep=slept)))
    assert seen == [Waiting(code="builder_behind", detail="slow down")] * 2 + [None]
    assert place.show(import_id).state is State.DONE


def test_nothing_depends_on_the_note(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    import_id = place.started(jsonl=TEXT)

    def fails(*_: Any, **_named: Any) -> None:
        raise unavailable("no", code="catalogue_unavailable")

    monkeypatch.setattr(place.records, "at_work", fails)
    monkeypatch.setattr(place.records, "wait", fails)
    place.work()
    assert place.show(import_id).state is State.DONE
