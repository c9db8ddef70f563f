"""Which calls a pickle may make of the names that it may import."""

from math import prod

from anfl.inspection.codes import Code, Finding
from anfl.inspection.pickles.machine import Global, Instance

_MOST_BYTES = 64 * 1024**2
"""What a call may allocate on its own: pickled data brings its bytes along."""
_UNTOLD = 1 << 63
"""Of a range that is longer than can be counted, or whose numbers cannot be told here."""
_ALLOCATORS = {("builtins", "bytes"), ("builtins", "bytearray")}
_ARRAYS = {"numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.ma.core"}


def judge_call(callee: object, arguments: object) -> Finding | None:
    """The finding that calling ``callee`` is; None where it is allowed."""
    if not isinstance(callee, Global):
        return Finding(Code.INDIRECT_CALL, "calls an object that it made, not a name that it imports")
    if callee.name == "Booster" and arguments != ():  # its pickles make an empty one and give it its state
        return Finding(Code.UNLISTED_GLOBAL, f"loading it would have {callee.module}.Booster read what it is told to")
    if not isinstance(arguments, tuple):
        return None
    if callee.name != "range" and (longest := max(map(_range_length, arguments), default=0)) > _MOST_BYTES:
        return Finding(Code.MEMORY_BOMB, f"loading it would have {callee.name} hold a range of {longest} numbers")
    module = {"__builtin__": "builtins"}.get(callee.module, callee.module)
    if (module, callee.name) in _ALLOCATORS:
        wanted = next((value for value in arguments[:1] if isinstance(value, int)), 0)
    elif module in _ARRAYS and callee.name in ("ndarray", "_reconstruct", "_mareconstruct"):
        wanted = max((_elements(value) for value in arguments), default=0)
    else:
        return None
    if wanted <= _MOST_BYTES:
        return None
    return Finding(Code.MEMORY_BOMB, f"loading it would have {callee.name} allocate for {wanted} elements")


def _range_length(value: object) -> int:
    """How many numbers a range would have been asked for; 0 for anything else."""
    if not isinstance(value, Instance) or not isinstance(value.of, Global) or value.of.name not in ("range", "xrange"):
        return 0
    if not isinstance(value.arguments, tuple) or not all(isinstance(n, int) for n in value.arguments):
        return _UNTOLD
    try:
        return len(range(*value.arguments))
    except OverflowError:
        return _UNTOLD
    except (TypeError, ValueError):  # the loader fails as well
        return 0


def _elements(shape: object) -> int:
    if not isinstance(shape, tuple):
        return 0
    return abs(prod(n for n in shape if isinstance(n, int)))
