"""ONNX models: the library's structural check, references to other files, operators that need code of their own."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from anfl.inspection import onnx_run
from anfl.inspection.codes import Code, Finding
from anfl.inspection.examination import Facts, Needed
from anfl.inspection.limits import Limits
from anfl.inspection.members import escapes
from anfl.inspection.onnx_wire import skeleton
from anfl.inspection.signatures import Signature, Tensor
from anfl.inspection.streams import Cursor

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto, ValueInfoProto

_RUNTIME_DOMAINS = frozenset(
    (
        "",
        "ai.onnx",
        "ai.onnx.ml",
        "ai.onnx.training",
        "ai.onnx.preview.training",
        "com.microsoft",
        "com.microsoft.nchwc",
    )
)
"""Operators that ONNX or ONNX Runtime defines."""
_NEWER = ("ir_version", "opset", "No Op registered")
"""In the checker's messages about what is newer than itself."""


def onnx_model(path: Path, *, scratch: Path, limits: Limits, tick: Callable[[], None]) -> Facts:
    """What an ONNX model is, and what is wrong with it. Those up to ``limits.run_bytes`` are loaded and run.

    :raises Finding: it cannot be read.
    """
    import onnx

    placeholder = uuid4().hex
    size = path.stat().st_size
    with path.open("rb") as stream:
        rest = skeleton(Cursor(stream), size=size, placeholder=placeholder, tick=tick)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(rest)
    except Exception as error:
        raise Finding(Code.MALFORMED, f"it cannot be read: {error}") from None
    needed: dict[str, Needed] = {}
    findings: list[Finding] = []
    for tensor in _messages(model, onnx.TensorProto):
        _external(tensor, placeholder, needed, findings)
    findings += _custom_operators(model)
    findings += _check(model, placeholder, scratch)
    signature = _signature(model)
    if size <= limits.run_bytes and not findings and not needed:
        findings += onnx_run.run(path, signature, seconds=limits.run_seconds)
    return Facts(findings=findings, needed=list(needed.values()), signature=signature)


def _check(model: "ModelProto", placeholder: str, scratch: Path) -> Iterator[Finding]:
    """The library's own check of structure."""
    import onnx

    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(model.SerializeToString())
        (Path(folder) / placeholder).touch()
        try:
            onnx.checker.check_model(str(file))
        except onnx.checker.ValidationError as error:
            message = str(error).splitlines()[0]
            newer = any(word in message for word in _NEWER)
            yield Finding(Code.UNSUPPORTED_FORMAT if newer else Code.MALFORMED, message)


def _messages(message: Any, wanted: type) -> Iterator[Any]:  # noqa: ANN401 - protobuf has no stubs
    """Every message of a type within ``message``: in subgraphs, functions, attributes, training information."""
    if isinstance(message, wanted):
        yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for inner in value if isinstance(value, list) or hasattr(value, "add") else [value]:
                yield from _messages(inner, wanted)


def _external(tensor: "TensorProto", placeholder: str, needed: dict[str, Needed], findings: list[Finding]) -> None:
    """Note a tensor's file, and have it lie in the placeholder, which is what the library is shown."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if not entries and tensor.data_location != tensor.EXTERNAL:
        return
    location = entries.get("location", "")
    if location == placeholder:
        return
    if escapes(location):
        findings.append(
            Finding(Code.PATH_ESCAPE, f"the data of {tensor.name!r} lies outside the model's folder: {location!r}")
        )
    else:
        end = _number(entries.get("offset")) + _number(entries.get("length"))
        before = needed.get(location, Needed(location))
        needed[location] = Needed(location, numbers=True, size=max(before.size, end))
    del tensor.external_data[:]
    tensor.external_data.add(key="location", value=placeholder)


def _number(text: str | None) -> int:
    if text is None:
        return 0
    if not text.isdecimal() or len(text) > 19:
        raise Finding(Code.MALFORMED, f"{text!r} is no place in external data")
    return int(text)


def _custom_operators(model: "ModelProto") -> Iterator[Finding]:
    import onnx

    defined = {(function.domain, function.name) for function in model.functions}
    used = {(node.domain, node.op_type) for node in _messages(model, onnx.NodeProto)}
    for domain, operator in sorted(used - defined):
        if domain not in _RUNTIME_DOMAINS:
            yield Finding(Code.CUSTOM_OPERATOR, f"the operator {domain}.{operator} needs a library of its own")


def _signature(model: "ModelProto") -> Signature:
    given = {tensor.name for tensor in model.graph.initializer}
    return Signature(
        inputs=[_tensor(info) for info in model.graph.input if info.name not in given],
        outputs=[_tensor(info) for info in model.graph.output],
    )


def _tensor(info: "ValueInfoProto") -> Tensor:
    from onnx.helper import tensor_dtype_to_np_dtype

    kind = info.type.tensor_type
    try:
        dtype = tensor_dtype_to_np_dtype(kind.elem_type).name if info.type.HasField("tensor_type") else "object"
    except (KeyError, ValueError, TypeError):
        dtype = "object"
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim)
    return Tensor(name=info.name, dtype=dtype, shape=shape if kind.HasField("shape") else None)
