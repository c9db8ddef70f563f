"""The CDK's process is begun early and asked directly: what it is asked, answers and prints stays the same.

`test_assembly.py` holds the bytes that the app writes this way against those of a kernel that jsii starts itself.
"""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from stacks import kernel
from stacks.settings import ROOT

ASKED = """
from jsii._kernel.providers.process import _NodeProcess

asked, send = [], _NodeProcess.send
_NodeProcess.send = lambda self, request, kind: (asked.append(request), send(self, request, kind))[1]
from stacks import kernel

with kernel.starting():
    import stacks.build
for request in asked:
    print(type(request).__name__, getattr(request, "fqn", ""), getattr(request, "method", ""))
kernel.end()
"""
SENT = """
import json

import jsii
from jsii import _kernel
from jsii._kernel import types
from jsii._kernel.providers import process

from aws_cdk import CfnTag, Duration, RemovalPolicy, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from stacks.kernel import wire

class Renamed(Stack):
    def _allocate_logical_id(self, element):
        return "Renamed"

stack = Renamed(None, "Stack")
rule = s3.LifecycleRule(expiration=Duration.days(3), enabled=False, prefix="", tag_filters={"a": None, "b": [1, 2.5]})
props = s3.BucketProps(lifecycle_rules=[rule], versioned=True, removal_policy=RemovalPolicy.RETAIN)
tag = CfnTag(key="a", value="b")
values = [props, [props, stack], {"rule": rule, "tag": tag}, lambda_.Runtime.PYTHON_3_13, None, 1.5, "text"]

def sent():
    args = _kernel._make_reference_for_native(jsii.kernel, values)
    ref, overrides = stack.__jsii_ref__, _kernel._get_overides(Stack, stack)
    assert overrides
    requests = [
        types.CreateRequest(fqn="a.B", args=args, overrides=overrides, interfaces=["a.C"]),
        types.GetRequest(objref=ref, property="d"),
        types.GetRequest(objref=types.ObjRef(ref="e", interfaces=["f"]), property="g"),
        types.InvokeRequest(objref=ref, method="h", args=args),
        types.StaticGetRequest(fqn="i", property="j"),
        types.StaticInvokeRequest(fqn="k", method="l", args=args),
        types.SetRequest(objref=ref, property="m", value=args),
    ]
    converter = jsii.kernel.provider._process._serializer
    return json.dumps([converter.unstructure(request) for request in requests], default=process.jdefault)

print(sent())
wire.speak()
print(sent())
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
    assert done.returncode == 0, done.stderr
    asked = [line.split() for line in done.stdout.splitlines()]
    assert [names for names in asked if names != ["LoadRequest"]] == [
        ["StaticInvokeRequest", name, "isConstruct"] for name in kernel.FIRST
    ]
    assert asked[-1] != ["LoadRequest"], "the CDK is the last package that is read"


def test_what_node_has_compiled_of_the_cdk_is_found_again(tmp_path: Path) -> None:
    kept = list[set[Path]]()
    for _ in range(2):
        done = run(ASKED, NODE_COMPILE_CACHE=str(tmp_path))
        assert done.returncode == 0, done.stderr
        kept.append({file for file in tmp_path.rglob("*") if file.is_file()})
    assert len(kept[0]) > 100
    assert kept[1] == kept[0]


def test_the_wire_carries_what_jsii_would_send_but_for_properties_not_given() -> None:
    done = run(SENT)
    assert done.returncode == 0, done.stderr
    general, ours = map(json.loads, done.stdout.splitlines())
    assert ours == [given(message) for message in general]
    assert ours != general, "jsii says of every property of a structure whether it has been given"


def given(message: Any) -> Any:
    """``message`` without the properties that its structures have not been given."""
    if isinstance(message, list):
        return [given(each) for each in message]
    if not isinstance(message, dict):
        return message
    if message.keys() == {"fqn", "data"}:
        message = message | {"data": {name: each for name, each in message["data"].items() if each is not None}}
    return {name: given(each) for name, each in message.items()}


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
