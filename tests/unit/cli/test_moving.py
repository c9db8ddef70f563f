"""Moves from the command line, against the real service with a second engine."""

import numpy as np
import pytest

from anfl.client import Client, new_rows
from anfl.vectors.store import VectorStore
from tests.unit.cli.commands import Commands
from tests.unit.client.conftest import TOKEN
from tests.unit.vectors.moves import OTHER, with_other


@pytest.fixture(name="anfl")
def _anfl(url: str, store: VectorStore) -> Commands:
    with_other(store)
    with Client(url, token=TOKEN) as client:
        client.create_collection("words", dimension=2).upsert(new_rows(["a", "b"], np.eye(2)))
        client.set_alias("w", "words")
    return Commands(url, "collections")


def test_an_alias_is_moved_and_it_is_told_what_stays(anfl: Commands, url: str) -> None:
    assert anfl.text("move", "w", "--engine", OTHER) == (
        f"w is words-other from now on, of the engine {OTHER}: 2 rows. "
        "words is as it was, and takes no more writes. When you need it no longer: anfl collections delete words"
    )
    with Client(url, token=TOKEN) as client:
        assert client.collection("w").describe().name == "words-other"
        assert client.collection("w").count() == 2
    assert anfl.json("show", "words")["collection"]["moving"] == {"to": "words-other", "stage": "done"}
    back = anfl.text("move", "w", "--engine", "hnsw", "--to", "back")
    assert back.startswith("w is back from now on, of the engine hnsw: 2 rows.")
    assert anfl.text("move", "w", "--engine", "hnsw") == back
    anfl.text("delete", "words-other", "--yes")
    assert anfl.text("move", "w", "--engine", "hnsw") == "w is back, which is of the engine hnsw already."


def test_json_is_the_last_step(anfl: Commands) -> None:
    moved = anfl.json("move", "w", "--engine", OTHER, "--to", "new")
    assert {name: moved[name] for name in ("collection", "to", "engine", "stage", "looked")} == {
        "collection": "words",
        "to": "new",
        "engine": OTHER,
        "stage": "done",
        "looked": 2,
    }


def test_ctrl_c_says_how_to_go_on_and_how_to_give_up(
    anfl: Commands, store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, steps = store.move, iter(range(3))

    def interrupted(*asked: object) -> object:
        if next(steps) == 2:
            monkeypatch.setattr(store, "move", step)
            monkeypatch.setattr("anfl.cli.moving.Progress.update", stop)
        return step(*asked)  # type: ignore[arg-type]

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "move", interrupted)
    told = anfl.fails("move", "w", "--engine", OTHER)
    assert "Go on with: anfl collections move w --engine other" in told
    assert "Give up with: anfl collections move w --undo" in told
    monkeypatch.undo()
    assert anfl.text("move", "w", "--undo") == "w is words, and is not being moved; what was copied is deleted."
    assert "words-other" not in anfl.text("list")


def test_what_cannot_be_moved_says_what_to_do(anfl: Commands) -> None:
    assert "let an alias stand for it" in anfl.fails("move", "words", "--engine", OTHER)
    assert "No class has" in anfl.fails("move", "w", "--engine", "dynamodb")
    assert "Give either --engine, or --undo" in anfl.fails("move", "w")
