"""The unpickler's stack and memo with symbolic values. Work and memory are bounded by the file's size."""

from dataclasses import dataclass, field
from typing import Final

from anfl.inspection.codes import Code, Finding

KEPT_ITEMS = 64
_MAX_MEMO = 3_000_000
_MAX_STACK = 5_000_000
_FARTHEST_INDEX = 1 << 24
"""The unpickler allocates its memo up to the largest index; Python numbers them without gaps."""


class Unknown:
    """A value that does not matter here."""


@dataclass(eq=False)
class Several(Unknown):
    """A list or a set, whatever is in it."""

    length: int = 0
    """Of a list."""


class _Mark:
    """The mark object on the stack."""


UNKNOWN: Final = Unknown()
SEVERAL: Final = Several()
"""For the state of what got several."""
NEVER: Final = Unknown()
"""The state of what got none."""
_MARK: Final = _Mark()


@dataclass(frozen=True)
class Global:
    """What was imported."""

    module: str
    name: str


@dataclass(eq=False)
class Instance:
    """What calling or instantiating ``of`` with ``arguments`` would give."""

    of: object
    arguments: object = UNKNOWN
    state: object = NEVER
    shared: bool = False
    """It was in several places before it had a state."""
    told: object = None
    """What came of looking at it once it had its state (`dtypes.judge_type`): values that hold values are looked at
    once, however often they are named."""


@dataclass
class Machine:
    """Stack and memo of one pickle."""

    stack: list[object] = field(default_factory=list)
    memo: dict[int, object] = field(default_factory=dict)

    def pop(self) -> object:
        """The topmost value, taken off.

        :raises Finding: there is none.
        """
        value = self.top()
        self.stack.pop()
        return value

    def callee(self) -> object:
        """As `pop`: what is called next."""
        return Machine.pop(self)

    def top(self) -> object:
        """The topmost value.

        :raises Finding: there is none.
        """
        if not self.stack or self.stack[-1] is _MARK:
            raise Finding(Code.MALFORMED, "a pickle takes more values than it has")
        return self.stack[-1]

    def push(self, value: object) -> None:
        """:raises Finding: there are too many values."""
        if len(self.stack) >= _MAX_STACK:
            raise Finding(Code.TOO_COMPLEX, "a pickle holds too many values at once")
        self.stack.append(value)

    def mark(self) -> None:
        """Begin a group of values."""
        self.push(_MARK)

    def drop(self) -> None:
        """Take the topmost value or mark off.

        :raises Finding: there is none.
        """
        if not self.stack:
            raise Finding(Code.MALFORMED, "a pickle takes more values than it has")
        self.stack.pop()

    def group(self) -> list[object]:
        """The values above the last mark, taken off with it.

        :raises Finding: there is no mark.
        """
        for at in range(len(self.stack) - 1, -1, -1):
            if self.stack[at] is _MARK:
                items = self.stack[at + 1 :]
                del self.stack[at:]
                return items
        raise Finding(Code.MALFORMED, "a pickle ends a group that it never began")

    def remember(self, index: int) -> None:
        """Keep the topmost value in the memo.

        :raises Finding: there are too many, or the index alone would fill the loader's memory.
        """
        if index > _FARTHEST_INDEX:
            raise Finding(Code.MEMORY_BOMB, f"a pickle has its loader make room for {index} memo entries")
        if len(self.memo) >= _MAX_MEMO:
            raise Finding(Code.TOO_COMPLEX, "a pickle remembers too many values")
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        """Push a value from the memo.

        :raises Finding: it is not there.
        """
        if index not in self.memo:
            raise Finding(Code.MALFORMED, "a pickle recalls a value that it never remembered")
        self.share(self.memo[index])

    def share(self, value: object) -> None:
        """Push what stands, or stood, somewhere else as well."""
        if isinstance(value, Instance) and value.state is NEVER:
            value.shared = True
        self.push(value)


def merge(target: object, items: list[object]) -> object:
    """``target`` with its first entries; anything but a dictionary is left alone.

    A key that is not known stands for itself: it may turn out to be any. So does a tuple: what it holds may be named
    so often in there that hashing it takes for ever.

    :raises Finding: a key cannot be one.
    """
    if isinstance(target, dict):
        for key, value in zip(items[::2], items[1::2], strict=False):
            if len(target) >= KEPT_ITEMS:
                break
            try:
                target[Unknown() if isinstance(key, tuple) else key] = value
            except TypeError:
                raise Finding(Code.MALFORMED, "a pickle has a key that can be none") from None
    return target
