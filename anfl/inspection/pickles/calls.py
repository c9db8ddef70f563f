"""Which calls a pickle may make of the names that it may import."""

from math import prod

from anfl.inspection.codes import Code, Finding
from anfl.inspection.pickles.dtypes import DTYPE, size_of
from anfl.inspection.pickles.machine import SEVERAL, UNKNOWN, Global, Instance

_MOST_BYTES = 64 * 1024**2
"""What a call may allocate on its own: pickled data brings its bytes along."""
_UNTOLD = 1 << 63
"""Of a range that is longer than can be counted, or whose numbers cannot be told here."""
_ALLOCATORS: dict[str, set[str]] = {
    "builtins": {"bytes", "bytearray"},
    "__builtin__": {"bytes", "bytearray"},
    "numpy": {"ndarray", "void", "bytes_"},
    "numpy.core.multiarray": {"_reconstruct"},
    "numpy._core.multiarray": {"_reconstruct"},
    "numpy.ma.core": {"_mareconstruct"},
}
"""Names that take a number, or a shape, for the size of what they make."""
_TORCH = ("torch", "torch.storage")
_TEXTS = {("builtins", "str"), ("__builtin__", "str"), ("__builtin__", "unicode"), ("numpy", "str_")}
"""They spell out what they get: a list that holds others, and each of them others, has no end."""
_NUMBERS = {("builtins", "int"), ("__builtin__", "int"), ("__builtin__", "long"), ("fractions", "Fraction")}
"""They count out what a decimal fraction writes in ten characters."""
_SCALARS = ("numpy.core.multiarray", "numpy._core.multiarray")
_ENCODE = Global("_codecs", "encode")
"""How bytes are pickled by the oldest protocols."""


def judge_call(callee: object, arguments: object) -> Finding | None:
    """The finding that calling ``callee`` is; None where it is allowed."""
    if not isinstance(callee, Global):
        return Finding(Code.INDIRECT_CALL, "calls an object that it made, not a name that it imports")
    if callee.name == "Booster" and arguments != ():  # its pickles make an empty one and give it its state
        return Finding(Code.UNLISTED_GLOBAL, f"loading it would have {callee.module}.Booster read what it is told to")
    if not isinstance(arguments, tuple):
        return Finding(Code.INDIRECT_CALL, f"calls {callee.name} with arguments that it computes, or very many")
    return _range(callee, arguments) or _allocation(callee, arguments) or _of_what_is_made(callee, arguments)


def _range(callee: Global, arguments: tuple[object, ...]) -> Finding | None:
    longest = max(map(_range_length, arguments), default=0)
    if callee.name == "range" or longest <= _MOST_BYTES:
        return None
    return Finding(Code.MEMORY_BOMB, f"loading it would have {callee.name} hold a range of {longest} numbers")


def _allocation(callee: Global, arguments: tuple[object, ...]) -> Finding | None:
    if not _allocates(callee):
        return None
    computed = Finding(Code.INDIRECT_CALL, f"has {callee.name} allocate for a number that it computes")
    sizes = [_elements(value) for value in arguments]
    if None in sizes or (callee.name == "ndarray" and SEVERAL in arguments[:1]):
        return computed
    wanted = max((size for size in sizes if size is not None), default=0) * max(map(size_of, arguments), default=1)
    if wanted <= _MOST_BYTES:
        return None
    return Finding(Code.MEMORY_BOMB, f"loading it would have {callee.name} allocate for {wanted} elements")


def _of_what_is_made(callee: Global, arguments: tuple[object, ...]) -> Finding | None:
    """Calls that do more than they say where they get what other calls gave."""
    named = (callee.module, callee.name)
    made = [value for value in arguments if isinstance(value, Instance)]
    if named in _TEXTS and (made or any(isinstance(value, tuple | dict) or value is SEVERAL for value in arguments)):
        return Finding(Code.INDIRECT_CALL, f"has {callee.name} spell out what it made")
    if named in _NUMBERS and (made or any(isinstance(value, str) and "e" in value.lower() for value in arguments)):
        return Finding(Code.INDIRECT_CALL, f"has {callee.name} count out what it computes")
    if named == ("_codecs", "encode") and (made or any(value is UNKNOWN for value in arguments[1:])):
        return Finding(Code.INDIRECT_CALL, "encodes again what it encoded")
    if callee.name == "scalar" and callee.module in _SCALARS:  # of objects it gives back what it got
        others = [value for value in arguments[1:] if isinstance(value, Global | Instance)]
        if any(not isinstance(value, Instance) or value.of != _ENCODE for value in others):
            return Finding(Code.INDIRECT_CALL, "has a scalar stand for another object")
    return None


def _allocates(callee: Global) -> bool:
    if callee.module in _TORCH and (callee.name == "Tensor" or callee.name.endswith("Storage")):
        return True
    return callee.name in _ALLOCATORS.get(callee.module, ())


def _range_length(value: object) -> int:
    """How many numbers a range would have been asked for; 0 for anything else."""
    if isinstance(value, dict):
        return max(map(_range_length, value.values()), default=0)
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


def _elements(value: object) -> int | None:
    """How many elements an argument asks for; None where that cannot be told here."""
    if isinstance(value, tuple):
        return abs(prod(value)) if all(isinstance(n, int) for n in value) else None
    if isinstance(value, Instance):
        return 0 if value.of in (DTYPE, _ENCODE) else None
    return abs(value) if isinstance(value, int) else 0
