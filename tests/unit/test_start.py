"""What each process begins with keeps it from dying without a word, and from dying at all where threads decode."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from anfl import start

ROOT = Path(__file__).resolve().parents[2]
BEGINNING = {"begin", "serve"}
"""`anfl.http.serve.serve` begins as well."""
RACE = """
import sys, threading, types
import msgspec
from anfl.start import settle

sys.setswitchinterval(1e-6)
source = "import msgspec\\nclass Inner(msgspec.Struct):\\n    x: int\\nclass Outer(msgspec.Struct):\\n"
source += "".join(f"    f{number}: Inner | None = None\\n" for number in range(20))
for number in range(300):
    module = sys.modules[f"made{number}"] = types.ModuleType(f"made{number}")
    exec(source, vars(module))
    settle()
    data = msgspec.msgpack.encode({f"f{each}": {"x": each} for each in range(20)})
    together = threading.Barrier(4)

    def decode(outer=module.Outer, data=data, together=together):
        together.wait()
        msgspec.msgpack.decode(data, type=outer)

    threads = [threading.Thread(target=decode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""
"""Without `settle`, it dies of SIGSEGV within a few rounds."""


def run(program: str, *, folder: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def test_threads_decode_a_struct_for_the_first_time_at_once() -> None:
    assert run(RACE).returncode == 0


def test_a_process_that_crashes_says_where() -> None:
    told = run(
        "import os, signal\nfrom anfl import start\nstart.begin()\n"
        "def crash():\n    os.kill(os.getpid(), signal.SIGSEGV)\ncrash()"
    ).stderr
    assert "Segmentation fault" in told
    assert "in crash" in told


def test_a_process_that_crashes_leaves_no_picture_of_its_memory(tmp_path: Path) -> None:
    """Data keys and rows stand in it in clear, and whoever reads the disk would have them. The limit of one byte is the
    only one that holds where the kernel hands pictures to a program, too (`do_coredump` in Linux's fs/coredump.c)."""
    told = run(
        "import os, resource, signal\nfrom anfl import start\n"
        "most = resource.getrlimit(resource.RLIMIT_CORE)[1]\nresource.setrlimit(resource.RLIMIT_CORE, (most, most))\n"
        "start.begin()\nchild = os.fork()\nif child == 0:\n    os.kill(os.getpid(), signal.SIGSEGV)\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE), os.WCOREDUMP(os.waitpid(child, 0)[1]))",
        folder=tmp_path,
    ).stdout
    assert told in ("(1, 1) False\n", "(0, 0) False\n"), "the machine itself may allow none"
    assert not list(tmp_path.iterdir())


def test_a_struct_that_cannot_be_decoded_is_left_to_whoever_tries() -> None:
    class Odd(msgspec.Struct):
        unknown: "Nowhere"  # type: ignore[name-defined]  # noqa: F821

    start.settle()
    with pytest.raises(NameError):
        msgspec.json.decode(b"{}", type=Odd)


@pytest.mark.parametrize(
    "path",
    [*ROOT.glob("lambda_src/*/handler.py"), *ROOT.glob("services/*/__main__.py"), ROOT / "anfl/vectors/building.py"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_program_begins_that_way(path: Path) -> None:
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    names = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
    assert names & BEGINNING
