"""Runs an ONNX model once on zeros, in the process that is limited for it."""

import math
import threading
from pathlib import Path

import numpy as np

from anfl.inspection.codes import Code, Finding
from anfl.inspection.signatures import Signature, Tensor

_MOST_ELEMENTS = 1 << 24
_FATAL = 4
_PLAIN = frozenset(np.dtype(code).name for code in "?bBhHiIlLefd")
"""Types that NumPy has by itself."""


def run(path: Path, signature: Signature, *, seconds: float) -> list[Finding]:
    """Load a model, and run it where its inputs are known but for the size of the batch.

    Other free dimensions often depend on each other, and a model that fails on sizes of our making says nothing.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = _FATAL
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        return [Finding(Code.INFERENCE_FAILED, f"ONNX Runtime does not load it: {_first_line(error)}")]
    inputs = signature.inputs or []
    if not all(_is_known(tensor) for tensor in inputs):
        return []
    feed = {str(tensor.name): np.zeros([max(1, n) for n in tensor.shape or ()], tensor.dtype) for tensor in inputs}
    limited = onnxruntime.RunOptions()
    limited.log_severity_level = _FATAL
    timer = threading.Timer(seconds, lambda: setattr(limited, "terminate", True))
    timer.start()
    try:
        session.run(None, feed, limited)
    except Exception as error:
        if limited.terminate:
            return [Finding(Code.TIME_LIMIT, f"run on zeros, it does not end within {seconds:.0f} s")]
        return [Finding(Code.INFERENCE_FAILED, f"it does not run on zeros: {_first_line(error)}")]
    finally:
        timer.cancel()
    return []


def _is_known(tensor: Tensor) -> bool:
    if tensor.shape is None or tensor.dtype not in _PLAIN:
        return False
    fixed = all(n > 0 for n in tensor.shape[1:])
    return fixed and math.prod(max(1, n) for n in tensor.shape) <= _MOST_ELEMENTS


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
