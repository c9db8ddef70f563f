"""NumPy's arrays as pickles make them: an empty one gets its values as a state.

NumPy does not count: of objects it takes as many from the list as the shape says, and what lies in memory behind the
list for pointers to objects. And it frees what the array had, whoever else looks at that.
"""

from math import prod

from anfl.inspection.codes import Code, Finding
from anfl.inspection.pickles.dtypes import DTYPE
from anfl.inspection.pickles.machine import UNKNOWN, Global, Instance, Several

_BYTES = (Global("_codecs", "encode"), Global("builtins", "bytes"), Global("__builtin__", "bytes"))
"""How the oldest protocols have them."""
_NOTHING = (0,)
"""Shape with which NumPy makes an array that is to get its values."""


def judge_array(made: Instance, state: object, *, again: bool) -> Finding | None:
    """The finding that giving an array its state is: values come once, as bytes or as a list of as many as there are.

    :param again: it has had one.
    """
    if not isinstance(state, tuple):
        return None
    for at, kind in enumerate(state):
        if isinstance(kind, Instance) and kind.of == DTYPE and 0 < at < len(state) - 2:
            if again or (made.shared and not _is_empty(made)):
                return Finding(Code.FORGED_ARRAY, "an array that others may look at gets other values")
            if not _fits(state[at - 1], state[at + 2]):
                return Finding(Code.FORGED_ARRAY, "an array gets more or fewer values than its shape says")
            return None
    return None


def _is_empty(made: Instance) -> bool:
    return isinstance(made.arguments, tuple) and _NOTHING in made.arguments


def _fits(shape: object, values: object) -> bool:
    if isinstance(values, Several):
        known = isinstance(shape, tuple) and all(isinstance(length, int) for length in shape)
        return known and isinstance(shape, tuple) and prod(shape) == values.length
    return values is UNKNOWN or isinstance(values, str) or (isinstance(values, Instance) and values.of in _BYTES)
