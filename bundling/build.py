"""Builds one function's bundle."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bundling import archive, bytecode, native, requirements
from bundling.functions import BUILD, FunctionBundle
from bundling.gates import check_bundle
from bundling.sources import ROOT, files_below

_UNUSED = frozenset({"__pycache__", "tests", "test", "include"})
"""Folders of installed packages that no function reads at run time."""

_KEPT = 3
"""Archives of a function that stay in the cache, the present one among them: a change taken back is no new build."""
_ANY_HASH = "[0-9a-f]" * 64


def build(bundle: FunctionBundle) -> bool:
    """Make ``bundle.archive`` if it is absent; returns whether there was anything to do.

    Safe beside other builds, and interrupted at any point.

    :raises BundlingError: a download, the compiler or a gate fails.
    """
    with _alone():
        if bundle.archive.is_file():
            bundle.archive.touch()  # the latest used stay longest
            _forget(bundle)
            return False
        with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
            content = Path(scratch) / "content"
            content.mkdir()
            requirements.install(bundle.requirements, content)
            _prune(content)
            _copy(bundle, content)
            native.place(content)
            bytecode.add(content)
            check_bundle(content)
            archive.write(content, bundle.archive)
        _forget(bundle)
        return True


@contextmanager
def _alone() -> Iterator[None]:
    """Two builds at once would do the same work twice."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _prune(content: Path) -> None:
    unused = [path for path in content.rglob("*") if path.is_dir() and path.name in _UNUSED]
    for path in (content / "bin", *unused):
        shutil.rmtree(path, ignore_errors=True)
    (content / ".lock").unlink(missing_ok=True)
    for record in content.glob("*.dist-info/RECORD"):
        record.unlink()  # lists what was pruned


def _copy(bundle: FunctionBundle, content: Path) -> None:
    for path in files_below(bundle.source):
        if path.suffix == ".py":
            target = content / path.relative_to(bundle.source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    for path in bundle.modules:
        target = content / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _forget(bundle: FunctionBundle) -> None:
    """Delete the function's archives that have not been used for longest."""
    cached = bundle.archive.parent.glob(f"{bundle.name}-{_ANY_HASH}.zip")
    others = sorted((path for path in cached if path != bundle.archive), key=lambda path: path.stat().st_mtime_ns)
    for path in others[: 1 - _KEPT]:
        path.unlink()
