"""Compiles the vector store's C++ for the machines of AWS: AVX2 code for x86-64-v3, glibc 2.34. Cached by content.

By the host's compiler on Linux x86_64 where what comes out passes the gates, otherwise by zig's, which compiles for any
glibc on any host.
"""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bundling.errors import BundlingError
from bundling.functions import BUILD
from bundling.gates import check_portable, check_vectorised
from bundling.requirements import run
from bundling.sources import ROOT, digest

_OPTIONS = ["-w", "-O3", "-std=c++17", "-ffp-contract=fast", "-fPIC", "-shared", "-fvisibility=hidden", "-s"]
_RELATIVE = "-ffile-prefix-map="
"""Messages of C++ name their file: the folder above it, a temporary one, would make each build another."""
_ZIG = ["-target", "x86_64-linux-gnu.2.34", "-mcpu=x86_64_v3"]


NATIVE = ROOT / "anfl" / "vectors" / "engine" / "native.cpp"
"""What the vector store searches with; loaded from beside its source."""
LIBRARY = f"lib{NATIVE.stem}.so"


def compiled() -> Path:
    """`NATIVE`, compiled.

    :raises BundlingError: no compiler works, or no result passes the gates.
    """
    place = BUILD / "extensions" / digest([NATIVE], LIBRARY, *_OPTIONS, _RELATIVE, *_ZIG) / LIBRARY
    if place.is_file():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        draft = Path(folder) / place.name
        failures: list[str] = []
        for compiler in _compilers():
            try:
                compile_with(compiler, NATIVE, draft)
                check_portable(draft)
                check_vectorised(draft)
            except BundlingError as error:
                failures.append(f"{' '.join(compiler)}: {error}")
                continue
            draft.replace(place)
            return place
    raise BundlingError(f"{LIBRARY} could not be compiled for AWS.\n" + "\n".join(failures))


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


def compile_with(compiler: list[str], code: Path, target: Path) -> None:
    """Compile one C++ file; the folder in which it lies does not show in the result.

    :raises BundlingError: with the compiler's last lines.
    """
    run(
        [
            *compiler,
            *_OPTIONS,
            *(f"{_RELATIVE}{folder}=." for folder in (code.parent, ROOT)),
            *(str(code), "-o", str(target), "-pthread"),
        ],
        purpose=f"Compiling {code.name} (up to half a minute)",
    )
