"""Which files belong to an entry point, and one hash over them that depends on nothing else."""

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(\w[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n(]+)|import[ \t]+([^\n]+))", re.MULTILINE
)
_COMMENT = re.compile(r"#[^\n]*")


def files_below(folder: Path) -> list[Path]:
    """Every source file of ``folder``, sorted; caches of Python are none, nor is what is hidden (``.env``)."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not _is_aside(path.relative_to(folder)))


def _is_aside(path: Path) -> bool:
    return any(part == "__pycache__" or part.startswith(".") for part in path.parts)


def modules_used_by(files: Iterable[Path], *, package: str = "anfl", root: Path = ROOT) -> list[Path]:
    """The files of ``package`` that ``files`` import, directly or through one another, sorted.

    Follows import statements wherever they stand in a file. A package's ``__init__.py`` belongs to each module below
    it, as Python runs it first.
    """
    found: set[Path] = set()
    waiting = [path for path in files if path.suffix == ".py"]
    while waiting:
        for name in _imported_names(waiting.pop().read_text()):
            if name.split(".")[0] != package:
                continue
            for path in _files_of(name, root):
                if path not in found:
                    found.add(path)
                    waiting.append(path)
    return sorted(found)


def compiled_beside(modules: Iterable[Path]) -> list[Path]:
    """The C++ files that belong to ``modules``: of the same name, in the same folder."""
    return [source for path in modules if (source := path.with_suffix(".cpp")).is_file()]


@cache
def _imported_names(source: str) -> tuple[str, ...]:
    """Modules, and members that may be modules. Cached by what is read: nine bundles share most of their files.

    By statement, not by syntax tree: synthesis asks each time, and parsing a hundred files took longer than all else.
    """
    names: list[str] = []
    for module, members, modules in _IMPORT.findall(source):
        if module:
            names += [module, *(f"{module}.{member}" for member in _named(members))]
        else:
            names += _named(modules)
    return tuple(dict.fromkeys(names))


def _named(members: str) -> list[str]:
    """What stands between the commas, without comments, brackets and ``as`` names."""
    parts = _COMMENT.sub("", members).strip("() ;\n").split(",")
    return [part.split()[0] for part in parts if part.strip()]


@cache
def _files_of(name: str, root: Path) -> tuple[Path, ...]:
    """Of the packages around ``name`` and of itself. Cached by package, as asking the file system takes long.

    Nothing is looked for below a module: there are only its members.
    """
    parent = name.rpartition(".")[0]
    around = _files_of(parent, root) if parent else ()
    if around and around[-1].name != "__init__.py":
        return around
    folder = root.joinpath(*name.split("."))
    own = next((path for path in (folder / "__init__.py", folder.with_suffix(".py")) if path.is_file()), None)
    return (*around, own) if own else around


def digest(files: Iterable[Path], *facts: str, root: Path = ROOT) -> str:
    """SHA-256 (hex) over ``facts`` and each file's path below ``root`` and bytes; whatever their times and order."""
    total = hashlib.sha256()
    for fact in facts:
        total.update(b"fact\0" + fact.encode() + b"\0")
    for path in sorted(set(files)):
        content = path.read_bytes()
        total.update(f"file\0{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()
