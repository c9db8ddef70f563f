"""``anfl collections update`` against the real service."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from anfl.cli.main import app
from anfl.client import Client, NewRow
from anfl.problems import Problem
from anfl.vectors.declarations import patched
from anfl.vectors.model import FieldType
from anfl.vectors.requests import CollectionPatch
from anfl.vectors.store import VectorStore
from tests.unit.client import conftest as serving

TOKEN = serving.TOKEN
session = serving.session
catalogue = serving.catalogue
s3 = serving.s3
objects = serving.objects
store = serving.store
place = serving.place
imports = serving.imports
url = serving._url


class Command:
    """``anfl collections update words`` at one address."""

    def __init__(self, url: str) -> None:
        self._where = ["--endpoint", url, "--token", TOKEN]

    def fails(self, *arguments: str) -> str:
        """What a person reads of what is refused."""
        done = CliRunner().invoke(app, ["collections", "update", "words", *arguments, *self._where])
        assert done.exit_code != 0
        return " ".join((done.output + str(done.exception)).split())

    def text(self, *arguments: str) -> str:
        """What a person reads."""
        done = CliRunner().invoke(app, ["collections", "update", "words", *arguments, *self._where])
        assert done.exit_code == 0, (done.output, done.exception)
        return " ".join(done.stdout.split())

    def json(self, *arguments: str) -> Any:
        """What a program reads."""
        return json.loads(self.text(*arguments, "--json"))


@pytest.fixture(name="update")
def _update(url: str) -> Command:
    with Client(url, token=TOKEN) as client:
        words = client.create_collection("words", dimension=2, metric="l2", fields={"tag": "string"})
        words.upsert([NewRow(id="a", values=[1, 1], metadata={"year": 1984, "tag": "x"})])
    return Command(url)


def test_a_field_comes_to_those_there_are_and_goes_again(update: Command) -> None:
    assert update.text("--field", "year=number") == "words: ef_search 64; fields: tag (string), year (number)."
    assert update.json("--drop-field", "tag", "--ef-search", "99")["fields"] == {"year": "number"}


def test_what_is_wrong_is_named(update: Command) -> None:
    assert "field_contradicted" in update.fails("--field", "year=string")
    assert "NAME=TYPE" in update.fails("--field", "year")
    assert "fields" in update.fails("--field", "year=date")
    assert "declares no field colour" in update.fails("--drop-field", "colour")
    assert "Say what is to change" in update.fails()


def test_it_waits_until_the_field_is_ready(
    update: Command, store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that was asked cannot reach the log; upkeep goes on as soon as it can."""

    def down(*_: Any, **__: Any) -> None:
        raise Problem(503, "storage_unavailable", "down")

    store.hnsw.upkeep.stop()  # the one that goes on is called below, when it is waited for
    build = store.hnsw.build_fields
    monkeypatch.setattr("anfl.vectors.hnsw.HnswEngine.build_fields", down)
    assert "cannot be filtered by yet" in update.text("--field", "year=number", "--no-wait")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        build(store.describe("demo", "words"))

    monkeypatch.setattr("anfl.client.client.sleep", sleep)
    assert "year (number)" in update.text("--field", "year=number")
    assert len(slept) == 1


def test_what_came_of_nothing_is_said(update: Command, store: VectorStore) -> None:
    patch = CollectionPatch(fields={"tag": FieldType.STRING, "year": FieldType.STRING})
    store.catalogue.change("demo", "words", lambda before: patched(before, patch))
    store.hnsw.build_fields(store.describe("demo", "words"))
    assert "year is no string in 1 rows" in update.text("--ef-search", "99")
