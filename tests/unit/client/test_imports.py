"""Imports by the client: parts reach the object store without a token, and what is interrupted goes on."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from anfl.client import ApiError, AsyncClient, Client, ImportFailedError, UnreachableError
from anfl.client.imports import Imports
from anfl.vectors.imports.model import State
from anfl.vectors.imports.requests import Uploads
from tests.unit.client.conftest import TOKEN
from tests.unit.vectors.importing import Door, Place, npy_of, row, text_of

NAMES = [f"row-{number:03}" for number in range(20)]


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> list[Path]:
    array, lines = tmp_path / "rows.npy", tmp_path / "rows.jsonl"
    array.write_bytes(npy_of([[float(n), 1.0] for n in range(20)]))
    lines.write_bytes(text_of(*({"id": name} for name in NAMES)))
    return [array, lines]


@pytest.fixture(autouse=True)
def _works(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a client waits, the jobs are carried out."""
    monkeypatch.setattr("anfl.client.imports.sleep", lambda _seconds: place.work())

    async def work(_seconds: float) -> None:
        place.work()

    monkeypatch.setattr("anfl.client.asynchronous_imports.sleep", work)


def test_files_are_sent_stored_and_watched(client: Client, door: Door, files: list[Path]) -> None:
    client.create_collection("words", dimension=2, metric="l2")
    sent: list[int] = []
    states: list[State] = []
    ended = client.imports.run("words", files, sent=sent.append, watch=lambda shown: states.append(shown.state))
    assert (ended.stored, ended.rows, states) == (20, 20, [State.RUNNING, State.DONE])
    assert sent == sorted(sent)
    assert sent[-1] == sum(path.stat().st_size for path in files)
    assert len(door.seen) > 3
    assert {authorization for _, authorization in door.seen} == {None}, "the token is nobody else's business"
    assert [each.id for each in client.imports.list()] == [ended.id]
    assert list(client.imports.list("others")) == []


def test_a_busy_object_store_is_asked_again(client: Client, door: Door, files: list[Path]) -> None:
    client.create_collection("words", dimension=2, metric="l2")
    door.refusals = [503, 503, 503]
    assert client.imports.run("words", files).stored == 20


def test_addresses_that_are_too_old_are_asked_for_again(client: Client, door: Door, files: list[Path]) -> None:
    client.create_collection("words", dimension=2, metric="l2")
    door.refusals = [200, 200, 403]
    assert client.imports.run("words", files).stored == 20
    door.refusals = [403]
    with pytest.raises(ApiError) as caught:
        client.imports.run("words", files)
    assert caught.value.status == 403


def test_half_of_their_time_is_trusted(
    client: Client, door: Door, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    client.create_collection("words", dimension=2, metric="l2")
    seconds = iter(range(0, 10**9, 1_000))
    monkeypatch.setattr("anfl.client.imports.monotonic", lambda: next(seconds))
    asked: list[str] = []
    missing = Imports.missing

    def noted(imports: Imports, import_id: str) -> Uploads:
        asked.append(import_id)
        return missing(imports, import_id)

    monkeypatch.setattr(Imports, "missing", noted)
    assert client.imports.run("words", files).stored == 20
    assert len(asked) > 2
    assert len(door.seen) > 3


def test_what_is_interrupted_goes_on(client: Client, door: Door, files: list[Path]) -> None:
    client.create_collection("words", dimension=2, metric="l2")
    begun = client.imports.begin("words", files)

    def interrupted(_done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.imports.send(begun, files, sent=interrupted)
    assert len(door.seen) == 1
    client.imports.send(client.imports.missing(begun.id), files)
    assert len(set(door.seen)) <= len(door.seen) == sum(len(file.missing) for file in begun.files)
    client.imports.start(begun.id)
    assert client.imports.wait(begun.id).stored == 20


def test_other_files_are_not_sent(client: Client, door: Door, files: list[Path], tmp_path: Path) -> None:
    client.create_collection("words", dimension=2, metric="l2")
    begun = client.imports.begin("words", files)
    files[1].write_bytes(files[1].read_bytes() + b"\n")
    for given in (files, files[:1], [*files, files[0]]):
        with pytest.raises(ValueError, match=begun.id):
            client.imports.send(begun, given)
    with pytest.raises(ValueError, match=r"ends in \.jsonl"):
        client.imports.begin("words", [tmp_path / "rows.csv"])
    assert door.seen == []


def test_a_failure_says_why(client: Client, door: Door, files: list[Path]) -> None:
    client.create_collection("words", dimension=3, metric="l2")
    with pytest.raises(ImportFailedError, match=r"files\[0\]\.shape") as caught:
        client.imports.run("words", files)
    assert caught.value.failed.state is State.FAILED
    assert client.imports.cancel(caught.value.failed.id).state is State.CANCELLED
    assert len(door.seen) > 3


def test_an_object_store_that_cannot_be_reached(client: Client, door: Door, files: list[Path]) -> None:
    client.create_collection("words", dimension=2, metric="l2")
    begun = client.imports.begin("words", files)
    door.shutdown()
    door.server_close()
    with pytest.raises(UnreachableError):
        client.imports.send(begun, files)


def test_the_same_for_programs_that_do_something_else_meanwhile(url: str, door: Door, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(text_of(*map(row, NAMES), row("wrong", values=[1])))

    async def run() -> Any:
        async with AsyncClient(url, token=TOKEN) as client:
            await client.create_collection("words", dimension=2, metric="l2")
            door.refusals = [503, 200, 403]
            ended = await client.imports.run("words", [path])
            listed = [each.id async for each in client.imports.list("words")]
            return ended, listed

    ended, listed = asyncio.run(run())
    assert (ended.stored, ended.refused, listed) == (20, 1, [ended.id])
