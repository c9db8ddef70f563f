"""Compiled code is the same bytes wherever its source was unpacked."""

import shutil
from pathlib import Path

import pytest

from bundling import extension, native
from bundling.extension import compile_with
from bundling.gates import check_portable, check_vectorised
from bundling.sources import ROOT

COMPILER = shutil.which("c++")


@pytest.mark.skipif(COMPILER is None, reason="compiles with the machine's C++ compiler")
def test_where_the_source_lay_does_not_show(tmp_path: Path) -> None:
    libraries = []
    for place in ("one", "another"):
        (tmp_path / place).mkdir()
        code = tmp_path / place / "header.cpp"
        code.write_text('extern "C" __attribute__((visibility("default"))) const char *place() { return __FILE__; }\n')
        compile_with([COMPILER or ""], code, tmp_path / place / "header.so")
        libraries.append((tmp_path / place / "header.so").read_bytes())
    assert libraries[0] == libraries[1]
    assert b"header.cpp" in libraries[0]
    assert str(tmp_path).encode() not in libraries[0]


@pytest.mark.skipif(COMPILER is None, reason="compiles with the machine's C++ compiler")
def test_what_searches_is_for_any_machine_of_aws(tmp_path: Path) -> None:
    (tmp_path / "anfl" / "vectors" / "engine").mkdir(parents=True)
    native.place(tmp_path)
    library = tmp_path / "anfl" / "vectors" / "engine" / extension.LIBRARY
    check_portable(library)
    check_vectorised(library)
    assert str(ROOT).encode() not in library.read_bytes()
    native.place(tmp_path / "anfl")  # where its source has no place there is nothing to do
