"""A C++ compiler for machines without one: zig, from PyPI.

``python -m bundling.host`` prints ``CC=… CXX=…`` for the installation of hnswlib on the host; nothing where the machine
has a compiler of its own.
"""

import re
import shutil
import sys
from pathlib import Path

from bundling.functions import BUILD
from bundling.requirements import run, uv

_LOCK = Path(__file__).with_name("zig.txt")


def zig() -> list[str]:
    """The command of zig, installed into ``build/zig`` when first asked for.

    :raises BundlingError: it cannot be installed.
    """
    [version] = re.findall(r"^ziglang==([\w.]+)", _LOCK.read_text(), re.MULTILINE)
    home = BUILD / f"zig-{version}"
    program = home / "ziglang" / "zig"
    if not program.is_file():
        run(
            [
                *(uv(), "pip", "install", "--quiet", "--no-config", "--target", str(home)),
                *("--no-deps", "--require-hashes", "--only-binary", ":all:", "--requirements", str(_LOCK)),
            ],
            purpose="Installing zig (the machine has no C++ compiler that fits)",
        )
    return [str(program)]


def variables() -> str:
    """Shell assignments for a build on the host; empty where it has a compiler."""
    if any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        return ""
    program = zig()[0]
    wrappers = Path(program).parent
    for name, mode in (("anfl-cc", "cc"), ("anfl-c++", "c++")):
        script = wrappers / name
        script.write_text(f'#!/bin/sh\nexec "{program}" {mode} "$@"\n')
        script.chmod(0o755)
    return f"CC={wrappers / 'anfl-cc'} CXX={wrappers / 'anfl-c++'}"


if __name__ == "__main__":
    sys.stdout.write(variables() + "\n")
