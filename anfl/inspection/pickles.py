"""Walks pickles opcode by opcode, as the unpickler would, without calling anything.

A small symbolic machine keeps the stack and memo, because what protocol 4 imports is computed on the stack. It also
follows what joblib does: raw array data between opcodes. Work and memory are bounded by the file's size.
"""

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from anfl.inspection.globals import judge
from anfl.inspection.report import Finding, quarantine, reject
from anfl.inspection.streams import Cursor

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
"""First value of the files that ``torch.save`` wrote before it wrote zip archives."""
_TORCH_LEGACY_PICKLES = 5
_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_LINE_BYTES = 65_536
_KEPT_TEXT = 512
"""Texts longer than this are no names of modules."""
_KEPT_ITEMS = 64
_MAX_MEMO = 3_000_000
_MAX_STACK = 5_000_000
_TICK_EVERY = 65_536


class _Unknown:
    """A value that does not matter here."""


class _Mark:
    """The mark object on the stack."""


_UNKNOWN = _Unknown()
_MARK = _Mark()
_SKIPPED = {  # opcodes with a counted payload whose content does not matter: width of the count in bytes
    "BINBYTES": 4,
    "BINBYTES8": 8,
    "BYTEARRAY8": 8,
    "SHORT_BINBYTES": 1,
    "BINSTRING": 4,
    "LONG4": 4,
}
_TEXTS = {"SHORT_BINUNICODE": 1, "BINUNICODE": 4, "BINUNICODE8": 8, "SHORT_BINSTRING": 1}
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


@dataclass(frozen=True)
class _Global:
    module: str
    name: str


@dataclass
class _Instance:
    """What calling or instantiating ``of`` with ``arguments`` would give."""

    of: object
    arguments: object = _UNKNOWN
    state: object = _UNKNOWN


@dataclass
class _Machine:
    stack: list[object] = field(default_factory=list)
    memo: dict[int, object] = field(default_factory=dict)

    def pop(self) -> object:
        if not self.stack or self.stack[-1] is _MARK:
            raise reject("malformed", "a pickle takes more values than it has")
        return self.stack.pop()

    def top(self) -> object:
        if not self.stack or self.stack[-1] is _MARK:
            raise reject("malformed", "a pickle takes more values than it has")
        return self.stack[-1]

    def push(self, value: object) -> None:
        if len(self.stack) >= _MAX_STACK:
            raise quarantine("too_complex", "a pickle holds too many values at once")
        self.stack.append(value)

    def pop_to_mark(self) -> list[object]:
        for at in range(len(self.stack) - 1, -1, -1):
            if self.stack[at] is _MARK:
                items = self.stack[at + 1 :]
                del self.stack[at:]
                return items
        raise reject("malformed", "a pickle ends a group that it never began")

    def remember(self, index: int) -> None:
        if len(self.memo) >= _MAX_MEMO:
            raise quarantine("too_complex", "a pickle remembers too many values")
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise reject("malformed", "a pickle recalls a value that it never remembered")
        self.push(self.memo[index])


def walk_file(cursor: Cursor, *, torch: bool, tick: Callable[[], None]) -> list[Finding]:
    """Everything questionable in a file of one or more pickles.

    :param torch: it is the ``data.pkl`` of a torch archive, where persistent ids name tensors.
    :raises Finding: nothing more can be read from it.
    """
    found: dict[tuple[str, str], Finding] = {}
    legacy = False
    count = 0
    while count == 0 or cursor.peek(1):
        if count and cursor.peek(1) != b"\x80":
            if legacy and count >= _TORCH_LEGACY_PICKLES:
                break  # the tensors themselves
            finding = quarantine("trailing_data", "there is data after the pickle's end")
            found[finding.code, finding.detail] = finding
            break
        try:
            result = _Walk(cursor, found, torch=torch or legacy, tick=tick).run()
        except Finding as stop:
            if not (legacy and count >= _TORCH_LEGACY_PICKLES):
                found[stop.code, stop.detail] = stop
            break
        legacy = legacy or (count == 0 and result == TORCH_MAGIC)
        count += 1
    return list(found.values())


class _Walk:
    """One pickle, from its first opcode to STOP."""

    def __init__(
        self,
        cursor: Cursor,
        found: dict[tuple[str, str], Finding],
        *,
        torch: bool,
        tick: Callable[[], None],
    ) -> None:
        self._cursor = cursor
        self._found = found
        self._torch = torch
        self._tick = tick
        self._machine = _Machine()

    def run(self) -> object:
        """Walk to STOP; the value that would be loaded, where it is known.

        :raises Finding: the pickle is malformed.
        """
        steps = 0
        while True:
            steps += 1
            if steps % _TICK_EVERY == 0:
                self._tick()
            code = self._cursor.read(1)
            opcode = _OPCODES.get(code.decode("latin-1"))
            if opcode is None:
                raise reject("malformed", f"no pickle opcode is 0x{code.hex()}")
            if opcode.name == "STOP":
                return self._machine.pop()
            self._step(opcode)

    def _step(self, opcode: pickletools.OpcodeInfo) -> None:
        machine, name = self._machine, opcode.name
        match name:
            case "PROTO":
                if self._cursor.read(1)[0] > 5:
                    raise reject("malformed", "no such pickle protocol")
            case "FRAME":
                self._cursor.read(8)
            case "MARK":
                machine.push(_MARK)
            case "POP":
                if not machine.stack:
                    raise reject("malformed", "a pickle takes more values than it has")
                machine.stack.pop()
            case "POP_MARK":
                machine.pop_to_mark()
            case "DUP":
                machine.push(machine.top())
            case "PUT":
                machine.remember(self._number())
            case "BINPUT":
                machine.remember(self._count(1))
            case "LONG_BINPUT":
                machine.remember(self._count(4))
            case "MEMOIZE":
                machine.remember(len(machine.memo))
            case "GET":
                machine.recall(self._number())
            case "BINGET":
                machine.recall(self._count(1))
            case "LONG_BINGET":
                machine.recall(self._count(4))
            case "GLOBAL":
                machine.push(self._global(self._line(), self._line()))
            case "STACK_GLOBAL":
                attribute, module = machine.pop(), machine.pop()
                machine.push(self._global(module, attribute))
            case "INST":
                reference = self._global(self._line(), self._line())
                machine.push(_Instance(reference, tuple(machine.pop_to_mark()[:_KEPT_ITEMS])))
            case "OBJ":
                items = machine.pop_to_mark()
                if not items:
                    raise reject("malformed", "a pickle makes an object of nothing")
                machine.push(_Instance(items[0], tuple(items[1:_KEPT_ITEMS])))
            case "REDUCE" | "NEWOBJ":
                arguments, callee = machine.pop(), machine.pop()
                machine.push(_Instance(callee, arguments))
            case "NEWOBJ_EX":
                machine.pop()
                arguments, callee = machine.pop(), machine.pop()
                machine.push(_Instance(callee, arguments))
            case "BUILD":
                self._build()
            case "EXT1" | "EXT2" | "EXT4":
                raise reject("obscured_global", "uses the extension registry, which hides what is imported")
            case "PERSID":
                self._line()
                self._persistent()
                machine.push(_UNKNOWN)
            case "BINPERSID":
                machine.pop()
                self._persistent()
                machine.push(_UNKNOWN)
            case "NEXT_BUFFER":
                raise reject("malformed", "expects buffers that are not in the file")
            case "READONLY_BUFFER":
                machine.top()
            case _:
                self._value(opcode)

    def _value(self, opcode: pickletools.OpcodeInfo) -> None:
        """Opcodes that only make values."""
        machine, name = self._machine, opcode.name
        if name in _TEXTS:
            machine.push(self._text(self._count(_TEXTS[name])))
        elif name in _SKIPPED:
            self._cursor.skip(self._count(_SKIPPED[name]))
            machine.push(_UNKNOWN)
        elif name in _CONSTANTS:
            machine.push(_CONSTANTS[name])
        elif name in ("UNICODE", "STRING"):
            text = self._line().strip("'\"")
            machine.push(text if len(text) <= _KEPT_TEXT else _UNKNOWN)
        elif name in ("INT", "LONG") or name == "FLOAT":
            self._line()
            machine.push(_UNKNOWN)
        elif name == "BINFLOAT":
            self._cursor.read(8)
            machine.push(_UNKNOWN)
        elif name in ("BININT", "BININT1", "BININT2"):
            width = {"BININT": 4, "BININT1": 1, "BININT2": 2}[name]
            machine.push(int.from_bytes(self._cursor.read(width), "little", signed=width == 4))
        elif name == "LONG1":
            machine.push(int.from_bytes(self._cursor.read(self._count(1)), "little", signed=True))
        else:
            self._collection(name)

    def _collection(self, name: str) -> None:
        machine = self._machine
        match name:
            case "EMPTY_TUPLE":
                machine.push(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                items = [machine.pop() for _ in range(int(name[-1]))]
                machine.push(tuple(reversed(items)))
            case "TUPLE":
                values = machine.pop_to_mark()
                machine.push(tuple(values) if len(values) <= _KEPT_ITEMS else _UNKNOWN)
            case "EMPTY_LIST" | "EMPTY_SET":
                machine.push(_UNKNOWN)
            case "LIST" | "FROZENSET":
                machine.pop_to_mark()
                machine.push(_UNKNOWN)
            case "APPEND":
                machine.pop()
                machine.top()
            case "APPENDS" | "ADDITEMS":
                machine.pop_to_mark()
                machine.top()
            case "EMPTY_DICT":
                machine.push({})
            case "DICT":
                machine.push(_dictionary({}, machine.pop_to_mark()))
            case "SETITEM":
                value, key = machine.pop(), machine.pop()
                _dictionary(machine.top(), [key, value])
            case "SETITEMS":
                items = machine.pop_to_mark()
                _dictionary(machine.top(), items)
            case _:
                raise reject("malformed", f"unexpected pickle opcode {name}")

    def _build(self) -> None:
        state = self._machine.pop()
        target = self._machine.top()
        if isinstance(target, _Instance):
            target.state = state
            if target.of == _Global("joblib.numpy_pickle", "NumpyArrayWrapper") and isinstance(state, dict):
                self._joblib_array(state)

    def _joblib_array(self, state: dict[object, object]) -> None:
        """joblib writes an array's data right behind its wrapper.

        Only joblib skips that data; pickle would run it as opcodes. Both readings must be harmless.
        """
        shape, dtype = state.get("shape"), _dtype_of(state.get("dtype"))
        if dtype is None or not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise quarantine("unreadable_array", "an array of joblib's with an unusual type or shape")
        self._as_opcodes()
        if dtype.hasobject:
            _Walk(self._cursor, self._found, torch=False, tick=self._tick).run()
            return
        if state.get("numpy_array_alignment_bytes") is not None:
            self._cursor.skip(self._count(1))
        self._cursor.skip(prod(int(n) for n in shape if isinstance(n, int)) * dtype.itemsize)

    def _as_opcodes(self) -> None:
        """What pickle itself would import if it ran the data that follows, up to where it would fail."""
        ahead = self._cursor.peek(_LINE_BYTES)
        if _OPCODES.get(ahead[:1].decode("latin-1")) is None:
            return
        other = _Walk(Cursor(io.BytesIO(ahead)), self._found, torch=False, tick=self._tick)
        other._machine.stack = [_UNKNOWN, _UNKNOWN, _UNKNOWN]
        try:
            other.run()
        except Finding:
            return

    def _global(self, module: object, name: object) -> _Global:
        if not isinstance(module, str) or not isinstance(name, str):
            self._note(reject("obscured_global", "computes the name of what it imports"))
            return _Global("?", "?")
        finding = judge(module, name)
        if finding is not None:
            self._note(finding)
        return _Global(module, name)

    def _persistent(self) -> None:
        if not self._torch:
            self._note(quarantine("persistent_id", "refers to objects outside the file"))

    def _note(self, finding: Finding) -> None:
        if len(self._found) < 100:
            self._found[finding.code, finding.detail] = finding

    def _count(self, width: int) -> int:
        return int.from_bytes(self._cursor.read(width), "little")

    def _line(self) -> str:
        return self._cursor.line(_LINE_BYTES).decode("utf-8", errors="replace")

    def _number(self) -> int:
        line = self._line()
        if not line.isdecimal() or len(line) > 18:
            raise reject("malformed", "a pickle's memo index is no number")
        return int(line)

    def _text(self, count: int) -> object:
        if count > _KEPT_TEXT:
            self._cursor.skip(count)
            return _UNKNOWN
        return self._cursor.read(count).decode("utf-8", errors="replace")


def _dictionary(target: object, items: list[object]) -> object:
    """``target`` with the entries that may matter; anything but a small dictionary is left alone."""
    if isinstance(target, dict):
        for key, value in zip(items[::2], items[1::2], strict=False):
            if isinstance(key, str) and len(target) < _KEPT_ITEMS:
                target[key] = value
    return target


def _dtype_of(value: object) -> "np.dtype[Any] | None":
    """The NumPy type that a pickled ``numpy.dtype(...)`` stands for."""
    if not isinstance(value, _Instance) or value.of != _Global("numpy", "dtype"):
        return None
    arguments = value.arguments
    if not isinstance(arguments, tuple) or not arguments or not isinstance(arguments[0], str):
        return None
    try:
        return np.dtype(arguments[0])
    except (TypeError, ValueError, SyntaxError):
        return None
