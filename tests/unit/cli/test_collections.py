"""``anfl collections update``, and ``anfl vectors delete``, against the real service."""

from typing import Any

import httpx
import pytest

from anfl.client import Client, NewRow
from anfl.problems import Problem
from anfl.vectors.declarations import patched
from anfl.vectors.model import FieldType
from anfl.vectors.requests import CollectionPatch
from anfl.vectors.store import VectorStore
from tests.unit.cli.commands import Commands
from tests.unit.client.conftest import TOKEN


@pytest.fixture(name="update")
def _update(url: str) -> Commands:
    with Client(url, token=TOKEN) as client:
        words = client.create_collection("words", dimension=2, metric="l2", fields={"tag": "string"})
        words.upsert([NewRow(id="a", values=[1, 1], metadata={"year": 1984, "tag": "x"})])
    return Commands(url, "collections", "update", "words")


def test_a_field_comes_to_those_there_are_and_goes_again(update: Commands) -> None:
    assert update.text("--field", "year=number") == "words: ef_search 64; fields: tag (string), year (number)."
    assert update.json("--drop-field", "tag", "--ef-search", "99")["fields"] == {"year": "number"}


def test_what_is_wrong_is_named(update: Commands) -> None:
    assert "field_contradicted" in update.fails("--field", "year=string")
    assert "NAME=TYPE" in update.fails("--field", "year")
    assert "fields" in update.fails("--field", "year=date")
    assert "declares no field colour" in update.fails("--drop-field", "colour")
    assert "Say what is to change" in update.fails()


def test_it_waits_until_the_field_is_ready(
    update: Commands, store: VectorStore, monkeypatch: pytest.MonkeyPatch
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


def test_what_came_of_nothing_is_said(update: Commands, store: VectorStore) -> None:
    patch = CollectionPatch(fields={"tag": FieldType.STRING, "year": FieldType.STRING})
    store.catalogue.change("demo", "words", lambda before: patched(before, patch))
    store.hnsw.build_fields(store.describe("demo", "words"))
    assert "year is no string in 1 row" in update.text("--ef-search", "99")


def lose_answer(monkeypatch: pytest.MonkeyPatch, path: str) -> list[bool]:
    """The answer to the next request to a path that ends so gets lost; empty once it has."""
    send, lost = httpx.Client.send, [True]

    def sending(client: httpx.Client, request: httpx.Request, **given: Any) -> httpx.Response:
        answer = send(client, request, **given)
        if request.url.path.endswith(path) and lost:
            lost.pop()
            raise httpx.ReadError("the answer")
        return answer

    monkeypatch.setattr(httpx.Client, "send", sending)
    return lost


@pytest.mark.usefixtures("update")
def test_a_deletion_whose_answer_got_lost_is_carried_out_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = lose_answer(monkeypatch, "/vectors/delete")
    assert Commands(url, "vectors").json("delete", "words", "--where", '{"tag": "x"}')["deleted"] == 1
    assert not lost


@pytest.mark.usefixtures("update")
def test_a_collection_whose_deletion_was_answered_into_the_void_is_deleted(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent again, it is not found: that is what was asked for."""
    lost = lose_answer(monkeypatch, "/collections/words")
    anfl = Commands(url, "collections")
    assert anfl.text("delete", "words", "--yes") == "Deleted words."
    assert not lost
    assert "collection_not_found" in anfl.fails("delete", "words", "--yes")


def test_a_collection_whose_creation_was_answered_into_the_void_is_created(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = lose_answer(monkeypatch, "/collections")
    assert Commands(url, "collections").json("create", "words", "--dimension", "2")["name"] == "words"
    assert not lost
