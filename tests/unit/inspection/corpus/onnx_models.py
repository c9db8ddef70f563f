"""ONNX models that reach for other files, need code of their own, or are broken."""

from collections.abc import Callable

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from anfl.inspection.codes import Code
from tests.unit.inspection.corpus.case import Case, case


def model(
    *, rows: int = 4, operator: str = "MatMul", domain: str = "", change: Callable[[ModelProto], None] | None = None
) -> ModelProto:
    """``y = x · w`` with ``w`` of ``rows`` × 4, changed as asked."""
    weights = numpy_helper.from_array(np.ones((rows, 4), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"], domain=domain)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", rows])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [weights],
    )
    opsets = [helper.make_opsetid("", 21)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    made = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    if change is not None:
        change(made)
    return made


def external(location: str, *, offset: int | None = None, length: int | None = None) -> Callable[[ModelProto], None]:
    """Have the weights lie in another file."""

    def change(made: ModelProto) -> None:
        tensor = made.graph.initializer[0]
        set_external_data(tensor, location, offset=offset, length=length)
        tensor.ClearField("raw_data")

    return change


def endless() -> ModelProto:
    """A loop of 2⁶² turns."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_on"], ["goes_on"]), helper.make_node("Identity", ["v"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [1]),
        ],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["turns", "yes", "x"], ["y"], body=body)],
        "endless",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [
            numpy_helper.from_array(np.array(2**62, np.int64), "turns"),
            numpy_helper.from_array(np.array(1, np.bool_), "yes"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def _in_constant(location: str) -> ModelProto:
    """External data in an attribute, where a check of the graph's initializers does not look."""
    made = model()
    tensor = numpy_helper.from_array(np.ones(4, np.float32), "c")
    set_external_data(tensor, location)
    tensor.ClearField("raw_data")
    made.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))
    return made


def _short(made: ModelProto) -> None:
    made.graph.initializer[0].raw_data = made.graph.initializer[0].raw_data[:-4]


def _unknown_input(made: ModelProto) -> None:
    made.graph.node[0].input[0] = "nowhere"


def _newer(made: ModelProto) -> None:
    made.ir_version = 29


_WHOLE = model().SerializeToString()
_LARGE = model(rows=512).SerializeToString()

CASES: list[Case] = [
    *(
        case(f"external-{number}.onnx", model(change=external(location)).SerializeToString(), Code.PATH_ESCAPE)
        for number, location in enumerate(("../../etc/passwd", "/etc/passwd", "a/../../b", "C:\\x", "..\\x"))
    ),
    case("external-attribute.onnx", _in_constant("../../etc/passwd").SerializeToString(), Code.PATH_ESCAPE),
    case("external-missing.onnx", model(change=external("weights")).SerializeToString(), Code.MISSING_FILE),
    case("operator.onnx", model(operator="PyOp", domain="ai.onnx.contrib").SerializeToString(), Code.CUSTOM_OPERATOR),
    case("unknown-operator.onnx", model(operator="Attack").SerializeToString(), Code.UNSUPPORTED_FORMAT),
    case("unknown-input.onnx", model(change=_unknown_input).SerializeToString(), Code.MALFORMED),
    case("newer.onnx", model(change=_newer).SerializeToString(), Code.UNSUPPORTED_FORMAT),
    case("short-tensor.onnx", model(change=_short).SerializeToString(), Code.MALFORMED),
    case("short-large-tensor.onnx", model(rows=512, change=_short).SerializeToString(), Code.TRUNCATED),
    case("cut.onnx", _LARGE[:-40], Code.TRUNCATED),
    case("no-graph.onnx", b"\x08\x0a\x12\x01x", Code.MALFORMED),
    case("text.onnx", b"not a model", Code.MISLEADING_EXTENSION),
    case("endless.onnx", endless().SerializeToString(), Code.TIME_LIMIT),
]
