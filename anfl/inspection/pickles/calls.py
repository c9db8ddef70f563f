"""Which calls a pickle may make of the names that it may import."""

from math import prod

from anfl.inspection.codes import Code, Finding
from anfl.inspection.pickles.dtypes import DTYPE, size_of
from anfl.inspection.pickles.machine import UNKNOWN, Global, Instance, Several

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
    "scipy.sparse._csr": {"csr_matrix", "csr_array"},
    "scipy.sparse._csc": {"csc_matrix", "csc_array"},
}
"""Names that take a number, or a shape, for the size of what they make."""
_MANAGERS = "pandas.core.internals.managers"
"""What they get a range for is an index, which stays one."""
_RANGES = ("range", "xrange", "RangeIndex")
_TORCH = ("torch", "torch.storage")
_TEXTS = {("builtins", "str"), ("__builtin__", "str"), ("__builtin__", "unicode"), ("numpy", "str_")}
"""They spell out what they get: a list that holds others, and each of them others, has no end."""
_NUMBERS = {("builtins", "int"), ("__builtin__", "int"), ("__builtin__", "long"), ("fractions", "Fraction")}
"""They count out what a decimal fraction writes in ten characters."""
_SCALARS = ("numpy.core.multiarray", "numpy._core.multiarray")
_BUILTINS = ("builtins", "__builtin__")
_ARRAY = Global("numpy", "ndarray")
_WITH_BUFFER = 3
"""Arguments of an array, from its shape on: NumPy's own pickles give one, or a type as well."""
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
    return (
        _by_another_name(callee, arguments)
        or _forged(callee, arguments)
        or _range(callee, arguments)
        or _allocation(callee, arguments)
        or _of_what_is_made(callee, arguments)
    )


def _by_another_name(callee: Global, arguments: tuple[object, ...]) -> Finding | None:
    """Calls that make what they are told to."""
    match callee, arguments:
        case Global("copyreg" | "copy_reg", "_reconstructor"), (_, Global() as base, state):
            if base.module not in _BUILTINS:
                return Finding(Code.INDIRECT_CALL, f"has {base.module}.{base.name} make an object of another class")
            return None if base.name == "object" else judge_call(base, (state,))
        case Global("pandas.core.indexes.base", "_new_Index"), (made, values):
            if not isinstance(made, Global) or not _is_index(made) or not isinstance(values, dict):
                return Finding(Code.INDIRECT_CALL, "has _new_Index make what is no index")
        case Global("numpy.random._pickle"), _:
            if any(isinstance(value, Global) and not value.module.startswith("numpy.random.") for value in arguments):
                return Finding(Code.INDIRECT_CALL, f"has {callee.name} call something else")
        case Global(name="_reconstructor" | "_new_Index"), _:
            return Finding(Code.INDIRECT_CALL, f"calls {callee.name} in an unusual way")
    return None


def _is_index(made: Global) -> bool:
    """Whether it is a class of pandas' indexes: other ones, made without what they hold, read from nowhere."""
    return made.module.startswith("pandas") and made.name.endswith("Index")


def _forged(callee: Global, arguments: tuple[object, ...]) -> Finding | None:
    """An array of what stands in a buffer: where its type is of objects, bytes are taken for pointers."""
    if callee != _ARRAY or len([value for value in arguments if value is not None]) < _WITH_BUFFER:
        return None
    return Finding(Code.FORGED_ARRAY, "loading it would have an array take bytes for its values")


def _range(callee: Global, arguments: tuple[object, ...]) -> Finding | None:
    longest = max(map(_range_length, arguments), default=0)
    if callee.name == "range" or callee.module == _MANAGERS or longest <= _MOST_BYTES:
        return None
    return Finding(Code.MEMORY_BOMB, f"loading it would have {callee.name} hold a range of {longest} numbers")


def _allocation(callee: Global, arguments: tuple[object, ...]) -> Finding | None:
    if callee.name == "scalar" and callee.module in _SCALARS:
        arguments = (1, *arguments[:1])
    elif not _allocates(callee):
        return None
    computed = Finding(Code.INDIRECT_CALL, f"has {callee.name} allocate for a number that it computes")
    sizes = [_elements(value) for value in arguments]
    if None in sizes or (callee.name == "ndarray" and any(isinstance(value, Several) for value in arguments[:1])):
        return computed
    known = [size for size in sizes if size is not None]
    together = prod(size for size in known if size) if callee.module in _TORCH else 0  # each is a dimension
    wanted = max([*known, together]) * max(map(size_of, arguments), default=1)
    if wanted <= _MOST_BYTES:
        return None
    return Finding(Code.MEMORY_BOMB, f"loading it would have {callee.name} allocate for {wanted} elements")


def _of_what_is_made(callee: Global, arguments: tuple[object, ...]) -> Finding | None:
    """Calls that do more than they say where they get what other calls gave."""
    named = (callee.module, callee.name)
    made = [value for value in arguments if isinstance(value, Instance)]
    if named in _TEXTS and (made or any(isinstance(value, tuple | dict | Several) for value in arguments)):
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
    """How many numbers a range would have been asked for, or one that a dictionary holds; 0 for anything else."""
    if isinstance(value, dict):
        return max((_range_length(held) for held in value.values() if not isinstance(held, dict)), default=0)
    if not isinstance(value, Instance) or not isinstance(value.of, Global):
        return 0
    bounds = value.arguments
    if value.of.name == "_new_Index" and isinstance(bounds, tuple) and len(bounds) == 2:  # of whichever class
        is_range = isinstance(bounds[0], Global) and bounds[0].name in _RANGES
        members = bounds[1] if is_range and isinstance(bounds[1], dict) else {}
        bounds = (members.get("start", 0), members.get("stop", 0), members.get("step", 1))
    elif value.of.name not in _RANGES:
        return 0
    elif value.of.name == "RangeIndex" and isinstance(bounds, tuple):
        bounds = tuple(bound for bound in bounds[:3] if bound is not None)
    if not isinstance(bounds, tuple) or not all(isinstance(n, int) for n in bounds):
        return _UNTOLD
    try:
        return len(range(*bounds))
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
