"""A copy of the settings files that a test may spoil."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stacks.settings import ROOT, SettingsError, load


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Folder with the project's own settings files."""
    shutil.copy(ROOT / "architecture.yaml", tmp_path)
    shutil.copytree(ROOT / "environments", tmp_path / "environments")
    return tmp_path


Problems = Callable[[str, str, str], tuple[str, ...]]


@pytest.fixture
def problems(files: Path) -> Problems:
    """Replace some text in one of the files, load prod, and get the problems reported."""

    def spoil(file: str, old: str, new: str) -> tuple[str, ...]:
        path = files / file
        text = path.read_text()
        assert old in text, f"{old!r} is not in {file} any more"
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(SettingsError) as caught:
            load("prod", root=files)
        return caught.value.problems

    return spoil
