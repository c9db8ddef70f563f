"""The gates refuse what would not run, or run slowly, on Amazon Linux 2023."""

import shutil
import subprocess
from pathlib import Path

import pytest

from bundling import gates
from bundling.errors import BundlingError

COMPILER = shutil.which("cc")

pytestmark = pytest.mark.skipif(COMPILER is None, reason="makes shared objects with the machine's C compiler")


def shared_object(folder: Path, source: str, *options: str) -> Path:
    code, library = folder / "a.c", folder / "a.so"
    code.write_text(source)
    command = [COMPILER or "", "-O2", "-shared", "-fPIC", *options, str(code), "-o", str(library)]
    subprocess.run(command, check=True, timeout=60)
    return library


VECTORS = "float f(const float *a, int n) { float s = 0; for (int i = 0; i < n; i++) s += a[i] * a[i]; return s; }"


def test_code_without_avx_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundlingError, match="no AVX code"):
        gates.check_vectorised(shared_object(tmp_path, VECTORS))


def test_avx_code_passes(tmp_path: Path) -> None:
    gates.check_vectorised(shared_object(tmp_path, VECTORS, "-O3", "-march=x86-64-v3", "-ffast-math"))


def test_a_library_that_needs_a_newer_glibc_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = shared_object(tmp_path, "#include <stdlib.h>\nvoid *f(void) { return malloc(1); }")
    gates.check_portable(library)
    monkeypatch.setitem(gates.NEWEST, "GLIBC", (2, 1))
    with pytest.raises(BundlingError, match=r"needs GLIBC_[0-9.]+ of libc\.so\.6"):
        gates.check_portable(library)


def test_a_bundle_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "handler.py").write_text("x = 1\n")
    assert gates.check_bundle(tmp_path) == 6
    monkeypatch.setattr(gates, "LIMIT", 5)
    with pytest.raises(BundlingError, match="the limit is"):
        gates.check_bundle(tmp_path)


def test_a_bundle_without_a_handler_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundlingError, match=r"handler\.py"):
        gates.check_bundle(tmp_path)
