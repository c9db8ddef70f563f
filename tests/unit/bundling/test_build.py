"""A build is repeatable to the byte, and the cache of archives does not grow for ever."""

import os
import zipfile
from pathlib import Path

import pytest

from anfl.resources import Function
from bundling import build
from bundling.errors import BundlingError
from bundling.functions import BYTECODE, FunctionBundle, bundle_for

REQUIREMENT = "value = 'x' * 3000\n"


@pytest.fixture(autouse=True)
def _no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    def install(lock: Path, target: Path) -> None:  # noqa: ARG001 - the signature of the real one
        for name in ("installed", "installed/tests", "bin"):
            (target / name).mkdir()
            (target / name / "__init__.py").write_text(REQUIREMENT)

    monkeypatch.setattr("bundling.requirements.install", install)


@pytest.fixture(name="bundle")
def _bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FunctionBundle:
    return in_place(tmp_path / "build", monkeypatch)


def in_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FunctionBundle:
    monkeypatch.setattr("bundling.functions.BUILD", folder)
    monkeypatch.setattr("bundling.build.BUILD", folder)
    return bundle_for(Function.AUTH)


def names(archive: Path) -> set[str]:
    with zipfile.ZipFile(archive) as content:
        return set(content.namelist())


def test_two_builds_of_the_same_sources_are_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    for place in ("here", "somewhere else"):
        bundle = in_place(tmp_path / place, monkeypatch)
        assert build.build(bundle)
        written.append(bundle.archive.read_bytes())
    assert written[0] == written[1]


def test_an_archive_holds_each_module_and_its_bytecode(bundle: FunctionBundle) -> None:
    build.build(bundle)
    held = names(bundle.archive)
    assert {"handler.py", "anfl/__init__.py", "installed/__init__.py"} <= held
    assert not [name for name in held if name.startswith(("bin/", "installed/tests/"))]
    modules = {Path(name) for name in held if name.endswith(".py")}
    expected = {(path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc").as_posix() for path in modules}
    assert {name for name in held if name.endswith(".pyc")} == (expected if BYTECODE else set())


def test_bytecode_counts_towards_the_limit(bundle: FunctionBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [*bundle.modules, *(path for path in bundle.source.rglob("*.py"))]
    sources = sum(path.stat().st_size for path in files) + len(REQUIREMENT)
    monkeypatch.setattr("bundling.gates.LIMIT", sources)
    if BYTECODE:
        with pytest.raises(BundlingError, match="the limit is"):
            build.build(bundle)
        assert not bundle.archive.exists()
    else:
        assert build.build(bundle)


@pytest.mark.parametrize("present", [True, False], ids=["cached", "built"])
def test_the_three_last_used_archives_are_kept(bundle: FunctionBundle, *, present: bool) -> None:
    if present:
        build.build(bundle)
        os.utime(bundle.archive, (0, 0))
    folder = bundle.archive.parent
    folder.mkdir(parents=True, exist_ok=True)
    old = [folder / f"auth-{digit * 64}.zip" for digit in "abcd"]
    others = [folder / f"authorizer-{'a' * 64}.zip", folder / "auth-notes.zip"]
    for second, path in enumerate([*others, *old]):
        path.touch()
        os.utime(path, (second, second))
    assert build.build(bundle) is not present
    assert set(folder.iterdir()) == {bundle.archive, *old[-2:], *others}


def test_a_build_that_was_needed_again_counts_as_used(bundle: FunctionBundle) -> None:
    build.build(bundle)
    os.utime(bundle.archive, (0, 0))
    assert not build.build(bundle)
    assert bundle.archive.stat().st_mtime > 0
