"""``anfl models register`` where something goes wrong: nothing is there afterwards that was not there before."""

import os
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from anfl.cli import models, uploads
from anfl.cli.errors import CliError, ExitCode
from anfl.client import ApiError
from anfl.problems import Problem
from anfl.registry.artifacts import Writer
from anfl.registry.locations import MAX_FILES
from anfl.registry.registry import Registry
from tests.unit.registry.conftest import BUCKET, items
from tests.unit.registry.test_command_line import Run, _run  # noqa: F401 - a fixture


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_bytes(b"x")
    return folder


@pytest.fixture(name="nothing_new", params=[False, True], ids=["a new model", "a model that was there"])
def _nothing_new(registry: Registry, dynamodb: Any, s3: Any, request: pytest.FixtureRequest) -> Callable[[], None]:
    """Checks that there is what was there."""
    if request.param:
        registry.models.create("acme", "bert", by="ana")
    before = [item for item in items(dynamodb) if item["pk"]["S"].startswith("acme#")]

    def check() -> None:
        assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)
        assert [item for item in items(dynamodb) if item["pk"]["S"].startswith("acme#")] == before

    return check


def _answered(monkeypatch: pytest.MonkeyPatch, problem: Problem, *, times: int = 9) -> None:
    """Whoever sends the file b gets this for an answer, so many times."""
    finish, answers = Writer.finish, [problem] * times

    def answer(writer: Writer) -> Any:
        stored, sha256 = finish(writer)
        if stored.path.endswith("/b") and answers:
            raise answers.pop()
        return stored, sha256

    monkeypatch.setattr(Writer, "finish", answer)


@pytest.mark.parametrize(
    "place", [(uploads, "Content"), (models, "upload")], ids=["between two files", "after the last"]
)
def test_an_interrupted_registration_leaves_nothing_behind(
    run: Run,
    folder: Path,
    nothing_new: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    place: tuple[ModuleType, str],
) -> None:
    original, calls = getattr(*place), 0

    def interrupted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if place[1] == "Content" and calls == 1:
            return original(*arguments)
        if place[1] == "upload":
            original(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(*place, interrupted)
    result = run("register", "bert", str(folder))
    assert (result.exit_code, "Interrupted" in str(result.exception)) == (1, True)
    nothing_new()


def test_a_file_that_is_refused_leaves_nothing_behind(
    run: Run, folder: Path, nothing_new: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    _answered(monkeypatch, Problem(HTTPStatus.FORBIDDEN, "permission_denied", "Not b."))
    result = run("register", "bert", str(folder))
    assert isinstance(result.exception, ApiError)
    nothing_new()


def _unreadable(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another user's file is to a user (tests may run as root, to whom none is)."""
    opened = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)


def _impossible_name(folder: Path, _: pytest.MonkeyPatch) -> None:
    (folder / "c#d").write_bytes(b"x")


def _no_text(folder: Path, _: pytest.MonkeyPatch) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_bytes(b"x")


def _too_many(folder: Path, _: pytest.MonkeyPatch) -> None:
    for number in range(MAX_FILES - 1):
        (folder / f"n{number}").touch()


def _too_large(folder: Path, _: pytest.MonkeyPatch) -> None:
    with (folder / "huge").open("wb") as file:
        file.truncate(5 * 1024**3 + 1)


WRONG: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], None], tuple[str, ...]]] = {
    "b cannot be read: Permission denied": (_unreadable, ()),
    r"'c#d' is no name": (_impossible_name, ()),
    r"'\\udcff' is no name": (_no_text, ()),
    f"{MAX_FILES + 1} files; a version has at most {MAX_FILES}": (_too_many, ()),
    "5368709121 bytes": (_too_large, ()),
    "'description' exceeds": (lambda *_: None, ("--description", "d" * 150_001)),
}


@pytest.mark.parametrize("said", WRONG)
def test_what_can_be_known_here_is_said_before_anything_is_sent(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    prepare, options = WRONG[said]
    prepare(folder, monkeypatch)
    monkeypatch.setattr("anfl.client.Client.send", lambda *_, **__: pytest.fail("something was sent"))
    result = run("register", "bert", str(folder), *options)
    assert isinstance(result.exception, CliError), result.exception
    assert said.replace(r"\\", "\\") in str(result.exception)
    assert result.exception.exit_code in (ExitCode.USAGE, ExitCode.FAILED)


def test_a_name_that_no_model_can_have_is_said_before_anything_is_sent(run: Run, folder: Path) -> None:
    assert "Names cannot contain" in str(run("register", "a/b", str(folder)).exception)


def test_who_may_not_register_is_told_before_a_file_is_sent(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "upload", lambda *_, **__: pytest.fail("a file was sent"))
    refused = run("register", "bert", str(folder), role="reader").exception
    assert isinstance(refused, ApiError)
    assert refused.status == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize("status", [HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE])
def test_a_file_is_sent_again_where_the_service_was_busy(
    run: Run, registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch, status: HTTPStatus
) -> None:
    _answered(monkeypatch, Problem(status, "busy", "Later."), times=1)
    result = run("register", "bert", str(folder), "--wait", "0")
    assert result.exit_code == 0, (result.output, result.exception)
    (sent,) = registry.store.entries("acme", "models/bert")
    assert {file.name: file.size for file in registry.store.entries("acme", f"models/bert/{sent.name}")} == {
        "a": 1,
        "b": 1,
    }
