"""Artefacts of 2 GB stream in bounded memory. The files are sparse: they take no space."""

import io
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SIZE = 2 * 1024**3
MOST_MEMORY = 200 * 1024**2
"""The interpreter and its libraries take a quarter of it."""

_MEASURED = """
import resource, sys
from functools import partial
from pathlib import Path
from anfl.inspection.inspector import FileSource, Local, inspect_files

path = Path(sys.argv[1])
report = inspect_files([FileSource(path=path.name, size=path.stat().st_size, local=partial(Local, path))])
peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(report.status, max(peaks) * (1 if sys.platform == "darwin" else 1024))
"""
_FROM_A_SMALL_ONE = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
"""Linux counts for a process what it was before exec, which is a copy of who started it."""


def safetensors_head() -> bytes:
    header = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (SIZE, SIZE)
    return struct.pack("<Q", len(header)) + header


def onnx_head() -> bytes:
    """A model whose one initializer, the last field of its graph, fills the file."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    rest = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    rest.ClearField("graph")
    tensor = TensorProto(dims=[SIZE], data_type=TensorProto.UINT8, name="w").SerializeToString()
    tensor += field(9, SIZE)
    inner = graph.SerializeToString() + field(5, len(tensor) + SIZE) + tensor
    head: bytes = rest.SerializeToString() + field(7, len(inner) + SIZE)
    return head + bytes(inner)


def field(number: int, length: int) -> bytes:
    """The head of a protobuf field of bytes."""
    out, value = bytearray([number << 3 | 2]), length
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


HEADS: dict[str, Callable[[], bytes]] = {
    "w.safetensors": safetensors_head,
    "w.onnx": onnx_head,
    "w.pkl": lambda: b"\x80\x04\x8e" + struct.pack("<Q", SIZE),
}


@pytest.mark.parametrize("name", HEADS)
def test_two_gigabytes_are_inspected_in_bounded_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with path.open("wb") as stream:
        stream.write(HEADS[name]())
        stream.seek(SIZE, io.SEEK_CUR)
        stream.truncate()
        if name == "w.pkl":
            stream.write(b".")
    command = [sys.executable, "-c", _FROM_A_SMALL_ONE, sys.executable, "-c", _MEASURED, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    status, peak = done.stdout.split()
    assert status == "VALIDATED"
    assert int(peak) < MOST_MEMORY
