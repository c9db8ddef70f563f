"""Archives are the same bytes for the same content, and never half written."""

import os
import zipfile
from pathlib import Path

import pytest

from bundling import archive


def content(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_text(name)
    return folder


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = content(tmp_path / "1", "a", "b.so"), content(tmp_path / "2", "b.so", "a")
    os.utime(second / "a", (0, 0))
    (second / "a").chmod(0o600)
    archive.write(first, tmp_path / "1.zip")
    archive.write(second, tmp_path / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "1.zip") as written:
        assert written.namelist() == ["a", "b.so"]


def test_an_interrupted_write_leaves_no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = content(tmp_path / "1", "a")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "writestr", interrupted)
    with pytest.raises(KeyboardInterrupt):
        archive.write(folder, tmp_path / "1.zip")
    assert not (tmp_path / "1.zip").exists()
