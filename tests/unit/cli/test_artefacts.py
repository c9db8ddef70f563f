"""Which files ``anfl models register`` and ``inspect`` take."""

import os
from pathlib import Path

import pytest

from anfl.cli.artefacts import artefacts_at
from anfl.cli.errors import CliError, ExitCode


def test_a_file_goes_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.touch()
    assert artefacts_at(file) == {"model.onnx": file}


def test_a_folder_gives_every_file_below_it_in_order(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.txt", "a/y/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(artefacts_at(tmp_path)) == ["a/y/x.txt", "a/z.txt", "b.txt"]


def test_a_link_to_a_file_counts_under_its_own_name_and_one_to_a_folder_does_not(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "0f3a").touch()
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (snapshot / "config.json").symlink_to(tmp_path / "blobs" / "0f3a")
    (snapshot / "all").symlink_to(tmp_path / "blobs")
    (snapshot / "broken").symlink_to(tmp_path / "gone")
    assert list(artefacts_at(snapshot)) == ["config.json"]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"There is no file or folder .*/gone\.") as caught:
        artefacts_at(tmp_path / "gone")
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_pipe_is_no_artefact(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CliError, match="neither a file nor a folder"):
        artefacts_at(tmp_path / "pipe")


def test_what_cannot_be_listed_is_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a model would be registered, inspected or signed as the whole."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "weights").touch()
    (tmp_path / "config.json").touch()
    scan = os.scandir

    def refuse(path: str | Path) -> object:
        if str(path).endswith("hidden"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CliError, match="hidden cannot be read: Permission denied"):
        artefacts_at(tmp_path)


def test_what_cannot_be_looked_at_is_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights").touch()
    look = Path.stat

    def refuse(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if self.name == "weights":
            raise PermissionError(13, "Permission denied", str(self))
        return look(self, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(CliError, match="weights cannot be read: Permission denied"):
        artefacts_at(tmp_path)
