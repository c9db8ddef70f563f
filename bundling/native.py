"""Puts the compiled `anfl/vectors/engine/native.cpp` where the vector store loads it from.

``python -m bundling.native`` does so for this machine; `place` for a bundle or a build context.
"""

import os
import platform
import shutil
import sys
from pathlib import Path

from bundling.errors import BundlingError
from bundling.extension import LIBRARY, NATIVE, compile_with, compiled
from bundling.sources import ROOT


def place(folder: Path) -> None:
    """Put it into ``folder``, a copy of the repository or a part of one, if its source has its place there.

    :raises BundlingError: it cannot be compiled.
    """
    target = folder / NATIVE.relative_to(ROOT).with_name(LIBRARY)
    if target.parent.is_dir():
        shutil.copyfile(compiled(), target)


def prepare_host() -> None:
    """Compile it for this machine, unless what is there is up to date.

    :raises BundlingError: it cannot be compiled.
    """
    target = NATIVE.with_name(LIBRARY)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    if sys.platform == "linux" and platform.machine() == "x86_64":
        shutil.copyfile(compiled(), draft)
    else:
        compile_with(_host_compiler(), NATIVE, draft)
    draft.replace(target)  # processes that have the old one loaded keep it


def _host_compiler() -> list[str]:
    from bundling.host import zig

    host = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    return host.split() if host else [*zig(), "c++"]


if __name__ == "__main__":
    try:
        prepare_host()
    except BundlingError as error:
        sys.exit(str(error))
