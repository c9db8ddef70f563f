"""``anfl import``, ``imports`` and ``export``, against the real service."""

import os
import threading
from pathlib import Path

import pytest

from anfl.cli.errors import advice_of
from anfl.client import ApiError, Client
from tests.unit.cli.commands import Commands
from tests.unit.client.conftest import TOKEN
from tests.unit.vectors.importing import MOST, Door, Place, npy_of, row, text_of


@pytest.fixture(name="anfl")
def _anfl(url: str, place: Place, door: Door, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """While a command waits, the jobs are carried out."""
    assert door.refusals == []
    monkeypatch.setattr("anfl.client.imports.sleep", lambda _seconds: place.work())
    with Client(url, token=TOKEN) as client:
        client.create_collection("words", dimension=2, metric="l2")
    return Commands(url)


@pytest.fixture(name="lines")
def _lines(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(text_of(*(row(f"r{n}") for n in range(9))))
    return path


def test_a_file_is_imported_and_exported_again(anfl: Commands, lines: Path, tmp_path: Path) -> None:
    assert anfl.text("import", "words", lines).endswith("into words: DONE, 9 of 9 rows stored.")
    out = tmp_path / "out.jsonl"
    assert anfl.text("export", "words", out) == f"9 rows of words written to {out}."
    assert anfl.json("export", "words", out, "--packed") == {"rows": 9, "file": str(out)}
    again = anfl.json("import", "words", out)
    assert (again["stored"], again["refused"], again["chunks_done"]) == (9, 0, 1), "scripts read them, 0 or not"
    assert len(anfl.run("export", "words", "-", "--where", '{"n": 1}').stdout.splitlines()) == 0
    assert len(anfl.run("export", "words", "-").stdout.splitlines()) == 9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "rows.jsonl"]


def test_rows_that_are_refused_are_shown_and_fail_the_command(anfl: Commands, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(text_of(*(row(f"w{n}", values=[1]) for n in range(12)), row("a")))
    text = anfl.text("import", "words", path, code=1)
    assert "1 of 13 rows stored. 12 rows were refused: 1 numbers; words takes 2. (row 0, field values)" in text
    assert "… 2 more; the first 12: anfl imports show" in text
    [listed] = anfl.json("imports", "list", "--collection", "words")["imports"]
    assert "DONE" in anfl.text("imports", "list")
    assert len(anfl.json("imports", "show", listed["id"])["errors"]) == 12
    assert "12 rows were refused" in anfl.text("imports", "watch", listed["id"], code=1)


def test_an_array_that_does_not_fit_is_noticed_before_anything_is_sent(
    anfl: Commands, lines: Path, tmp_path: Path, door: Door
) -> None:
    array = tmp_path / "rows.npy"
    for content, says in ((npy_of([[1.0]] * 9), "rows of 1 numbers"), (npy_of([[1.0, 2.0]] * 8), "has 8 rows")):
        array.write_bytes(content)
        done = anfl.run("import", "words", lines, array)
        assert (done.exit_code != 0, says in str(done.exception)) == (True, True), done.output
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    assert "empty.jsonl is empty" in str(anfl.run("import", "words", empty).exception)
    assert door.seen == []
    assert "ends in" in str(anfl.run("import", "words", __file__).exception)


def test_a_command_that_is_interrupted_says_how_to_go_on(
    anfl: Commands, lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("anfl.client.imports.Imports.send", interrupted)
        done = anfl.run("import", "words", lines)
    [listed] = anfl.json("imports", "list")["imports"]
    advice = str(done.exception)
    assert (listed["state"], getattr(done.exception, "exit_code", None)) == ("UPLOADING", 130)
    assert advice.endswith(f"Go on with: anfl imports resume {listed['id']} {lines}")
    with monkeypatch.context() as patched:
        patched.setattr("anfl.client.imports.sleep", interrupted)
        done = anfl.run("imports", "resume", listed["id"], lines)
    assert str(done.exception).endswith(f"goes on by itself. Watch it with: anfl imports watch {listed['id']}")
    assert anfl.json("imports", "watch", listed["id"])["state"] == "DONE"


def test_a_command_that_fails_for_the_time_being_says_how_to_go_on(
    anfl: Commands, lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise ApiError(status=503, code="storage_unavailable", detail="Try again.")

    def gone(*_: object, **__: object) -> None:
        raise ApiError(status=409, code="import_ended", detail="It is DONE.")

    with monkeypatch.context() as patched:
        patched.setattr("anfl.client.imports.Imports.start", away)
        failed = anfl.run("import", "words", lines).exception
    [listed] = anfl.json("imports", "list")["imports"]
    assert failed is not None
    assert advice_of(failed).endswith(f"Go on with: anfl imports resume {listed['id']} {lines}")
    assert anfl.json("imports", "resume", listed["id"], lines)["state"] == "DONE"
    monkeypatch.setattr("anfl.client.imports.Imports.start", gone)
    over = anfl.run("import", "words", lines).exception
    assert over is not None
    assert advice_of(over) == "", "the same again would be refused again"


def test_without_waiting_and_cancelled(anfl: Commands, lines: Path) -> None:
    started = anfl.json("import", "words", lines, "--no-wait")
    assert started["state"] == "RUNNING"
    assert anfl.text("imports", "cancel", started["id"]) == f"Cancelled {started['id']}; 0 rows of it stored so far."
    assert anfl.run("imports", "redrive", started["id"]).exit_code != 0
    assert anfl.text("import", "words", lines, "--no-wait").startswith("Import ")


def test_what_an_import_waits_for_is_told(anfl: Commands, lines: Path, place: Place) -> None:
    started = anfl.json("import", "words", lines, "--no-wait")
    assert started["waiting"]["code"] == "in_line"
    assert "It waits: Nobody is at it" in anfl.text("imports", "show", started["id"])
    place.work()
    assert "It waits" not in anfl.text("imports", "show", started["id"])


def test_a_failed_import_is_redriven_by_one_command(
    anfl: Commands, lines: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    def last_attempt(_seconds: float) -> None:
        if (job := place.service.take()) is not None:
            with pytest.raises(RuntimeError):
                place.carry_out(job, MOST)

    with monkeypatch.context() as patched:
        patched.setattr("anfl.vectors.imports.cutter.plan_of", broken)
        patched.setattr("anfl.client.imports.sleep", last_attempt)
        text = anfl.text("import", "words", lines, code=1)
    [listed] = anfl.json("imports", "list")["imports"]
    assert "It failed: internal_error" in text
    assert text.endswith(f"Once that is mended: anfl imports redrive {listed['id']}")
    assert place.show(listed["id"]).stored == 0
    assert anfl.text("imports", "redrive", listed["id"]).endswith("DONE, 9 of 9 rows stored.")


def test_who_sent_a_wrong_file_is_told_to_correct_it(anfl: Commands, lines: Path, place: Place, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.parquet"
    wrong.write_bytes(lines.read_bytes())
    text = anfl.text("import", "words", wrong, code=1)
    assert "(field files[0])" in text
    assert text.endswith("correct the file, and import it anew: anfl import words FILES")
    assert "redrive" not in text
    [listed] = anfl.json("imports", "list")["imports"]
    assert listed["failure"]["final"]
    started = anfl.json("import", "words", lines, "--no-wait")
    place.store.delete("demo", "words")
    text = anfl.text("imports", "watch", started["id"], code=1)
    assert text.endswith("Begin a new import: anfl import words FILES")


def test_what_is_no_file_is_written_to_and_not_replaced(anfl: Commands, lines: Path, tmp_path: Path) -> None:
    """As root, who exports to /dev/null would have put a file in the device's place."""
    anfl.text("import", "words", lines)
    pipe, read = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    assert anfl.text("export", "words", pipe) == f"9 rows of words written to {pipe}."
    reader.join(timeout=10)
    assert len(read[0].splitlines()) == 9
    assert pipe.is_fifo()


def test_an_export_through_a_link_leaves_it(anfl: Commands, lines: Path, tmp_path: Path) -> None:
    anfl.text("import", "words", lines)
    (tmp_path / "link").symlink_to("there")
    anfl.text("export", "words", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert len((tmp_path / "there").read_bytes().splitlines()) == 9


@pytest.mark.parametrize("file", ["", "."])
def test_an_export_to_a_folder_is_refused(anfl: Commands, file: str) -> None:
    assert "cannot be written: Is a directory" in anfl.fails("export", "words", file)


def test_an_export_that_is_refused_leaves_no_file(anfl: Commands, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert anfl.run("export", "absent", out).exit_code != 0
    assert anfl.run("export", "words", out, "--where", "{").exit_code != 0
    assert anfl.run("export", "words", tmp_path / "no" / "out", "--json").exit_code != 0
    assert list(tmp_path.iterdir()) == []
