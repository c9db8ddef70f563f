"""The CDK's process is begun early and asked directly: what it is asked, answers and prints stays the same.

`test_assembly.py` holds the bytes that the app writes this way against those of a kernel that jsii starts itself.
"""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

from stacks import kernel
from stacks.settings import ROOT

ASKED = """
from jsii._kernel.providers.process import _NodeProcess

asked, send = [], _NodeProcess.send
_NodeProcess.send = lambda self, request, kind: (asked.append(type(request).__name__), send(self, request, kind))[1]
from stacks import kernel

with kernel.starting():
    import stacks.build
print(*sorted({*asked}))
kernel.end()
"""
PROGRAM = """
const fs = require("fs");
console.log("grüße");
console.error("warning");
if (fs.openSync(__filename) === 3) process.exit(9);
const bytes = Buffer.alloc(100);
fs.writeSync(3, bytes.subarray(0, fs.readSync(3, bytes, 0, 100, null)));
process.exit(process.execArgv.includes("--preserve-symlinks") ? 7 : 8);
"""


def run(program: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_nothing_is_asked_while_packages_are_still_being_read() -> None:
    done = run(ASKED)
    assert (done.returncode, done.stdout) == (0, "LoadRequest\n"), done.stderr


def test_without_a_node_that_can_be_started_it_ends_with_an_error() -> None:
    done = run(ASKED, JSII_NODE="/no/such/node")
    assert done.returncode == 1
    assert "No such file or directory: '/no/such/node'" in done.stderr


def test_answers_come_back_and_what_the_cdk_prints_goes_where_it_went(tmp_path: Path) -> None:
    for folder in ("bin", "lib"):
        (tmp_path / folder).mkdir()
    (tmp_path / "lib" / "program.js").write_text(PROGRAM)
    done = subprocess.run(
        [Path(kernel.__file__).with_name("node"), "--max-old-space-size=64", tmp_path / "bin" / "jsii-runtime.js"],
        input=b'{"api":"stats"}\n',
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, b'{"api":"stats"}\n'), done.stderr
    printed = [json.loads(line) for line in done.stderr.splitlines()]
    expected = [("stdout", "grüße\n"), ("stderr", "warning\n")]
    assert printed == [{name: base64.b64encode(text.encode()).decode()} for name, text in expected]
