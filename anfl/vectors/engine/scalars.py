"""The distinct scalars of a field in order, so that values become small codes and ranges become ranges of codes.

Codes: 0 null, 1 false, 2 true, then the numbers ascending, then the strings ascending.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from anfl.vectors.engine.packed import Packed, pack
from anfl.vectors.filters import scalar_key
from anfl.vectors.model import Scalar

_CONSTANTS: dict[tuple[type, object], int] = {scalar_key(value): code for code, value in enumerate((None, False, True))}


class Scalars:
    """Looks scalars up by value, and ranges by their bound."""

    def __init__(self, numbers: NDArray[np.float64], strings: Packed) -> None:
        self.numbers = numbers
        self.strings = strings

    @classmethod
    def of(cls, values: Iterable[Scalar]) -> "Scalars":
        """Of distinct values; numbers that float64 holds exactly, as JSON's are here."""
        numbers, strings = [], []
        for value in values:
            if isinstance(value, str):
                strings.append(_text(value))
            elif isinstance(value, int | float) and not isinstance(value, bool):
                numbers.append(float(value))
        return cls(np.array(sorted(numbers), dtype=np.float64), Packed(*pack(sorted(strings))))

    def __len__(self) -> int:
        return self._first_string + len(self.strings)

    def code(self, value: object) -> int | None:
        """The code of a value that is there."""
        constant = _CONSTANTS.get(scalar_key(value)) if not isinstance(value, str) else None
        if constant is not None:
            return constant
        if isinstance(value, str):
            text = _text(value)
            place = bisect_left(self.strings, text)
            there = place < len(self.strings) and self.strings[place] == text
            return self._first_string + place if there else None
        number = cast(float, value)  # or an int above every float, which compares as it should
        place = bisect_left(self.numbers, number, key=float)
        there = place < len(self.numbers) and float(self.numbers[place]) == number
        return len(_CONSTANTS) + place if there else None

    def value(self, code: int) -> Scalar:
        """The scalar of a code; a number as a float."""
        if code < len(_CONSTANTS):
            return (None, False, True)[code]
        if code < self._first_string:
            return float(self.numbers[code - len(_CONSTANTS)])
        return self.strings[code - self._first_string].decode(errors="surrogatepass")

    def range(self, operation: str, bound: object) -> slice:
        """The codes of the scalars that are $gt, $gte, $lt or $lte ``bound``, a number or a string."""
        cut = bisect_right if operation in {"$gt", "$lte"} else bisect_left
        if isinstance(bound, str):
            first, place, last = self._first_string, cut(self.strings, _text(bound)), len(self)
        else:
            first, place, last = len(_CONSTANTS), cut(self.numbers, cast(float, bound), key=float), self._first_string
        return slice(first, first + place) if operation in {"$lt", "$lte"} else slice(first + place, last)

    def examples(self) -> list[Scalar]:
        """One value of each type, in the order of codes; as many codes as `counts` says stand for that type."""
        return [None, False, 0.0, ""]

    def counts(self) -> list[int]:
        """How many codes there are for null, for booleans, for numbers and for strings."""
        return [1, 2, len(self.numbers), len(self.strings)]

    @property
    def _first_string(self) -> int:
        return len(_CONSTANTS) + len(self.numbers)


def _text(value: str) -> bytes:
    return value.encode(errors="surrogatepass")
