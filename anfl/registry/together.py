"""Versions in the order of their keys: those of a model stand together.

So they are found, and replaced, without a look at those of other models: a document begins with its model's id.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

Row = TypeVar("Row")


def of(rows: Sequence[Row], model_id: str, *, told: Callable[[Row], str] | None = None) -> slice:
    """Where those of a model stand, or would.

    :param told: a row's document; None where the rows are documents.
    """
    key: Any = told  # typeshed knows no key that may be None
    begins = f'{{"model_id":"{model_id}'
    start = bisect_left(rows, f'{begins}"', key=key)
    return slice(start, bisect_left(rows, f"{begins}#", start, key=key))  # which comes after the quote


def replaced(
    rows: Sequence[Row], again: Sequence[Row], ids: Iterable[str], *, told: Callable[[Row], str] | None = None
) -> list[Row]:
    """``rows`` with those of some models as they are in ``again``."""
    found: list[Row] = []
    upto = 0
    for model_id in sorted(ids):
        before = of(rows, model_id, told=told)
        found += rows[upto : before.start]
        found += again[of(again, model_id, told=told)]
        upto = before.stop
    return found + list(rows[upto:])
