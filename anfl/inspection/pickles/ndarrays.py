"""NumPy's arrays as pickles make them: an empty one gets its values as a state.

NumPy does not count: of objects it takes as many from the list as the shape says, and what lies in memory behind the
list for pointers to objects.
"""

from math import prod

from anfl.inspection.codes import Code, Finding
from anfl.inspection.pickles.dtypes import DTYPE
from anfl.inspection.pickles.machine import UNKNOWN, Global, Instance, Several

_BYTES = (Global("_codecs", "encode"), Global("builtins", "bytes"), Global("__builtin__", "bytes"))
"""How the oldest protocols have them."""


def judge_array(state: object) -> Finding | None:
    """The finding that giving an array its state is: values come as bytes, or as a list of as many as there are."""
    if not isinstance(state, tuple):
        return None
    for at, kind in enumerate(state):
        if isinstance(kind, Instance) and kind.of == DTYPE and 0 < at < len(state) - 2:
            shape, values = state[at - 1], state[at + 2]
            return (
                None if _fits(shape, values) else Finding(Code.FORGED_ARRAY, "an array gets other values than it has")
            )
    return None


def _fits(shape: object, values: object) -> bool:
    if isinstance(values, Several):
        known = isinstance(shape, tuple) and all(isinstance(length, int) for length in shape)
        return known and isinstance(shape, tuple) and prod(shape) == values.length
    return values is UNKNOWN or isinstance(values, str) or (isinstance(values, Instance) and values.of in _BYTES)
