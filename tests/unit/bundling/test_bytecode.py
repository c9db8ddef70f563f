"""Bundles ship bytecode that Python takes as it is, the same from build to build, and silent about this machine."""

import importlib.util
import marshal
import subprocess
import sys
from pathlib import Path
from types import CodeType

import pytest

from anfl.resources import Function
from bundling import bytecode
from bundling.errors import BundlingError
from bundling.functions import BYTECODE, FunctionBundle, bundle_for

fits = pytest.mark.skipif(not BYTECODE, reason="another Python than the target's ships no bytecode")

UNORDERED = "class C:\n    def f(self):\n" + "".join(f"        self.attribute_{n} = {n}\n" for n in range(30))
"""Before Python 3.13.1 the order of ``__static_attributes__`` in the bytecode followed the hash seed."""


def content(folder: Path) -> Path:
    (folder / "package" / "inner").mkdir(parents=True)
    (folder / "handler.py").write_text("import package.inner.leaf\n")
    (folder / "package" / "__init__.py").touch()
    (folder / "package" / "inner" / "leaf.py").write_text(UNORDERED + "def fails():\n    return 1 / 0\n")
    return folder


def compiled(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.pyc")}


def cached(name: str) -> str:
    return importlib.util.cache_from_source(name, optimization="")


@fits
def test_every_file_is_compiled_the_same_way_in_any_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = content(tmp_path / "first"), content(tmp_path / "second place")
    bytecode.add(first)
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "elsewhere"))
    bytecode.add(second)
    assert compiled(first) == compiled(second)
    sources = ("handler.py", "package/__init__.py", "package/inner/leaf.py")
    assert set(compiled(first)) == {cached(name) for name in sources}


@fits
def test_code_names_its_file_as_lambda_sees_it(tmp_path: Path) -> None:
    folder = content(tmp_path / "content")
    bytecode.add(folder)
    for name, data in compiled(folder).items():
        assert str(tmp_path).encode() not in data
        code = marshal.loads(data[16:])  # noqa: S302 - written above
        assert isinstance(code, CodeType)
        parent, _, file = name.rpartition("__pycache__/")
        assert code.co_filename == f"/var/task/{parent}{file.split('.')[0]}.py"


@fits
def test_python_runs_the_bytecode_without_a_look_at_the_source(tmp_path: Path) -> None:
    folder = content(tmp_path / "content")
    bytecode.add(folder)
    flags = int.from_bytes((folder / cached("handler.py")).read_bytes()[4:8], "little")
    assert flags == 0b01, "hash-based, and not checked against the source"
    (folder / "package" / "inner" / "leaf.py").write_text("raise SystemExit('compiled again')\n")
    program = "import handler; print(handler.package.inner.leaf.C.__name__)"
    done = subprocess.run(
        [sys.executable, "-B", "-c", program], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("C\n", "")


@fits
def test_a_file_that_is_not_python_is_named(tmp_path: Path) -> None:
    folder = content(tmp_path / "content")
    (folder / "package" / "broken.py").write_text("def :\n")
    with pytest.raises(BundlingError, match=r"package/broken\.py"):
        bytecode.add(folder)


def test_another_python_skips_it_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundling.bytecode.BYTECODE", False)
    folder = content(tmp_path / "content")
    bytecode.add(folder)
    assert compiled(folder) == {}
    assert "without bytecode" in bytecode.skipped()


@fits
def test_the_right_python_has_nothing_to_say() -> None:
    assert bytecode.skipped() == ""


def test_bundles_with_and_without_bytecode_have_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = bundle_for(Function.AUTH)
    names = set()
    for kind in (True, False):
        monkeypatch.setattr("bundling.functions.BYTECODE", kind)
        names.add(FunctionBundle(name=bundle.name, source=bundle.source).content_hash)
    assert len(names) == 2
