"""Compiles C++ for the machines of AWS: AVX2 code for x86-64-v3, glibc 2.34. Cached by content.

PyPI has hnswlib's source only. Its own build takes ``-march=native`` (illegal instruction on another CPU) or, without
that, no SIMD at all (half the speed). So its one C++ file is compiled here directly, as is the vector
store's own one: by the host's compiler on Linux x86_64 where what comes out passes the gates, otherwise by zig's,
which compiles for any glibc on any host.
"""

import hashlib
import os
import platform
import shutil
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pybind11

from bundling.errors import BundlingError
from bundling.functions import BUILD, PYTHON_VERSION
from bundling.gates import check_portable, check_vectorised
from bundling.requirements import run
from bundling.sources import ROOT, digest

SUFFIX = f".cpython-{PYTHON_VERSION.replace('.', '')}-x86_64-linux-gnu.so"
_OPTIONS = ["-w", "-O3", "-std=c++17", "-ffp-contract=fast", "-fPIC", "-shared", "-fvisibility=hidden", "-s"]
_RELATIVE = "-ffile-prefix-map="
"""Messages of C++ name their file: the folder above it, a temporary one, would make each build another."""
_ZIG = ["-target", "x86_64-linux-gnu.2.34", "-mcpu=x86_64_v3"]
_NATIVE = ROOT / "anfl" / "vectors" / "engine" / "native.cpp"


@dataclass(frozen=True, kw_only=True)
class Library:
    """A shared object of one C++ file; paths are absolute, or relative to the unpacked source of hnswlib."""

    name: str
    code: Path
    includes: tuple[Path, ...] = ()
    facts: tuple[str, ...] = ()
    """What else its bytes depend on."""


BINDING = Library(
    name=f"hnswlib{SUFFIX}",
    code=Path("python_bindings", "bindings.cpp"),
    includes=(
        Path("hnswlib"),
        Path(pybind11.get_include()),
        Path(np.get_include()),
        Path(sysconfig.get_path("include")),
    ),
    facts=(pybind11.__version__, np.__version__, PYTHON_VERSION),
)
"""hnswlib for Python."""
NATIVE = Library(name=f"lib{_NATIVE.stem}.so", code=_NATIVE)
"""What the vector store searches with; loaded from beside its source."""


def compiled(library: Library, entry: str = "") -> Path:
    """The compiled ``library``.

    :param entry: of the lock, ``hnswlib==… --hash=…``, for what is compiled from its source.
    :raises BundlingError: no compiler works, or no result passes the gates.
    """
    own = [library.code] if library.code.is_absolute() else []
    recipe = digest(own, entry, library.name, *library.facts, *_OPTIONS, _RELATIVE, *_ZIG)
    place = BUILD / "extensions" / recipe / library.name
    if place.is_file():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        source = unpacked(entry, Path(folder)) if entry else ROOT
        draft = Path(folder) / place.name
        failures: list[str] = []
        for compiler in _compilers():
            try:
                compile_with(compiler, library, source, draft)
                check_portable(draft)
                check_vectorised(draft)
            except BundlingError as error:
                failures.append(f"{' '.join(compiler)}: {error}")
                continue
            draft.replace(place)
            return place
    raise BundlingError(f"{library.name} could not be compiled for AWS.\n" + "\n".join(failures))


def unpacked(entry: str, folder: Path) -> Path:
    """Download the locked source archive, checked against its hash, and unpack it."""
    lock = folder / "hnswlib.txt"
    lock.write_text(entry)
    run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"),
            *("--require-hashes", "--no-binary", ":all:", "--requirement", str(lock), "--dest", str(folder)),
        ],
        purpose="Downloading the source of hnswlib",
    )
    archive = next(folder.glob("hnswlib-*.tar.gz"))
    if hashlib.sha256(archive.read_bytes()).hexdigest() not in entry:
        raise BundlingError(f"{archive.name} is not the locked file.")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def _compilers() -> Iterator[list[str]]:
    """Commands to try, cheapest first."""
    host = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if host and sys.platform == "linux" and platform.machine() == "x86_64":
        yield [*host.split(), "-march=x86-64-v3"]
    yield [*_zig(), "c++", *_ZIG]


def _zig() -> list[str]:
    """zig from PyPI, installed when it is first needed: it is large, and most machines have a compiler."""
    from bundling.host import zig

    return zig()


def compile_with(compiler: list[str], library: Library, source: Path, target: Path) -> None:
    """Compile ``library`` from the folder ``source``; no folder of this machine shows in the result.

    :raises BundlingError: with the compiler's last lines.
    """
    folders = [source / path for path in library.includes]
    _, hyphen, version = source.name.partition("hnswlib-")
    run(
        [
            *compiler,
            *_OPTIONS,
            *([f'-DVERSION_INFO="{version}"'] if hyphen else []),
            *(f"{_RELATIVE}{folder}=." for folder in (source, ROOT, *folders)),
            *(f"-I{folder}" for folder in folders),
            str(source / library.code),
            *("-o", str(target), "-pthread"),
        ],
        purpose=f"Compiling {library.name} (up to half a minute)",
    )
