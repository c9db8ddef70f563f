"""Objects of compiled code, which reads their state without counting: behind a tuple that is too short for it lies what
it takes for addresses of objects."""

from anfl.inspection.codes import Code, Finding
from anfl.inspection.pickles.machine import Global, Instance

_METRICS = "sklearn.metrics._dist_metrics"
_MEMBERS = {_METRICS: 3, "sklearn.neighbors._kd_tree": 13, "sklearn.neighbors._ball_tree": 13}
"""How many members of the state ``__setstate__`` reads (scikit-learn 0.20 to 1.9)."""
_WITH_FUNCTION = 5
"""The same of a metric that calls a function."""


def judge_native(made: Instance, state: object) -> Finding | None:
    """The finding that giving an object its state is: one that is shorter than what is read of it."""
    of = made.of
    if not isinstance(of, Global) or of.module not in _MEMBERS:
        return None
    members = _WITH_FUNCTION if of.module == _METRICS and _may_call(of, made.arguments) else _MEMBERS[of.module]
    if isinstance(state, tuple) and len(state) >= members:
        return None
    return Finding(Code.FORGED_ARRAY, f"{of.module} reads more of a state than there is")


def _may_call(of: Global, arguments: object) -> bool:
    """Whether a metric may be one that calls a function."""
    kinds = arguments if of.name == "newObj" else (of,)
    return not isinstance(kinds, tuple) or any(not isinstance(kind, Global) or "PyFunc" in kind.name for kind in kinds)
