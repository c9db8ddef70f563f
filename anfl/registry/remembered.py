"""What is made once, when somebody asks for it, for all threads that ask."""

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar

_STEP = 200
_ANSWERS = 4
"""Of a question that are remembered."""
Key = TypeVar("Key")
Value = TypeVar("Value")


class Later(Generic[Value]):
    """A value that is made when it is first asked for."""

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make: Callable[[], Value] | None = make
        self._made: Value
        self._lock = threading.Lock()

    def __call__(self) -> Value:
        if self._make is not None:
            with self._lock:
                if self._make is not None:
                    self._made = self._make()
                    self._make = None  # what it was made of is not held
        return self._made

    def changed(self, change: Callable[[Value], Value], anew: Callable[[], Value]) -> "Later[Value]":
        """What becomes of it: changed now where it was made, so that nothing holds what was; else made ``anew``."""
        if self._make is not None:
            return Later(anew)
        made = change(self._made)
        return Later(lambda: made)


class Few(Generic[Key, Value]):
    """The answers that were asked for last: callers choose how many different ones they ask for."""

    def __init__(self) -> None:
        self._answers: dict[Key, Value] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The answer to ``key``, which ``make`` gives where it is not remembered."""
        with self._lock:
            if key in self._answers:
                return self._answers[key]
        answer = make()
        with self._lock:
            self._answers[key] = answer
            if len(self._answers) > _ANSWERS:
                del self._answers[next(iter(self._answers))]
        return answer

    def changed(self, change: Callable[[Key, Value], Value]) -> "Few[Key, Value]":
        """The same questions with what becomes of their answers."""
        found = Few[Key, Value]()
        with self._lock:
            found._answers = {key: change(key, answer) for key, answer in self._answers.items()}
        return found


class Lazy(Generic[Value]):
    """What an iterator gives, as far as somebody asked for it, for all who ask."""

    def __init__(self, rest: Iterator[Value]) -> None:
        self._rest = rest
        self._given: list[Value] = []
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Value]:
        given = self._given
        position = 0
        while True:
            if position == len(given):
                with self._lock:
                    if position == len(given):
                        given.extend(islice(self._rest, _STEP))
                if position == len(given):
                    return
            upto = len(given)
            yield from given[position:upto]
            position = upto
