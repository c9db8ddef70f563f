"""What a model takes and gives: as its MLmodel declares it, and as an ONNX graph has it."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from anfl.inspection.codes import Code, Finding

_COLUMN_TYPES = frozenset(
    [
        "boolean",
        "integer",
        "long",
        "float",
        "double",
        "string",
        "binary",
        "datetime",
        "object",
        "array",
        "map",
        "any",
        "sparse",
    ]
)


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """One input or output. ``dtype`` is NumPy's name; -1 in ``shape`` is any size; ``name`` None: it has none."""

    name: str | None
    dtype: str
    shape: tuple[int, ...] | None


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """Inputs and outputs; None where a side is not declared, or is a table rather than tensors."""

    inputs: list[Tensor] | None = None
    outputs: list[Tensor] | None = None


def declared(signature: object) -> Signature:
    """The signature in an MLmodel (MLflow's ``ModelSignature.to_dict``: JSON texts).

    :raises Finding: it is not one.
    """
    if not isinstance(signature, dict):
        raise Finding(Code.MALFORMED, "the MLmodel's signature is no mapping")
    return Signature(inputs=_side(signature, "inputs"), outputs=_side(signature, "outputs"))


def disagreement(declared: Signature, actual: Signature) -> Finding | None:
    """The finding that a model is not what its MLmodel declares; None where they agree or cannot be compared."""
    for side, said, has in (
        ("inputs", declared.inputs, actual.inputs),
        ("outputs", declared.outputs, actual.outputs),
    ):
        if said and has:
            problem = _difference(said, has, complete=side == "inputs")
            if problem is not None:
                return Finding(Code.SIGNATURE_MISMATCH, f"{side}: {problem}")
    return None


def _side(signature: dict[Any, Any], side: str) -> list[Tensor] | None:
    text = signature.get(side)
    if text is None:
        return None
    try:
        specs = msgspec.json.decode(str(text), type=list[dict[str, Any]])
        if any(spec.get("type") == "tensor" for spec in specs):
            return [_tensor(spec) for spec in specs]
        unknown = next((spec["type"] for spec in specs if spec["type"] not in _COLUMN_TYPES), None)
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise Finding(Code.MALFORMED, f"the MLmodel's signature cannot be read ({side}: {error})") from None
    if unknown is not None:
        raise Finding(Code.MALFORMED, f"the MLmodel's signature has the unknown type {unknown!r}")
    return None


def _tensor(spec: dict[str, Any]) -> Tensor:
    inner = spec["tensor-spec"]
    shape = tuple(int(size) for size in inner["shape"])
    return Tensor(name=spec.get("name"), dtype=np.dtype(inner["dtype"]).name, shape=shape)


def _difference(said: Sequence[Tensor], has: Sequence[Tensor], *, complete: bool) -> str | None:
    """:param complete: everything that the model has must be declared."""
    if len(said) == 1 and said[0].name is None:
        if len(has) != 1:
            return f"one is declared, the model has {len(has)}" if complete else None
        return _unlike(said[0], has[0])
    actual = {tensor.name: tensor for tensor in has}
    names = {tensor.name for tensor in said}
    if not names <= actual.keys() or (complete and names != actual.keys()):
        return f"{_listed(names)} declared, the model has {_listed(actual.keys())}"
    return next((problem for tensor in said if (problem := _unlike(tensor, actual[tensor.name])) is not None), None)


def _unlike(said: Tensor, has: Tensor) -> str | None:
    same_type = said.dtype == has.dtype or (said.dtype, has.dtype) == ("float64", "float32")  # MLflow casts these
    if not same_type and not {said.dtype, has.dtype} <= {"object", "str"}:
        return f"{said.dtype} is declared for {has.name!r}, the model has {has.dtype}"
    if said.shape is None or has.shape is None:
        return None
    fits = len(said.shape) == len(has.shape) and all(
        a == b or -1 in (a, b) for a, b in zip(said.shape, has.shape, strict=True)
    )
    return None if fits else f"{list(said.shape)} is declared for {has.name!r}, the model has {list(has.shape)}"


def _listed(names: Iterable[str | None]) -> str:
    return ", ".join(sorted(map(repr, names)))
