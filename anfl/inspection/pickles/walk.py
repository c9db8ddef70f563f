"""Follows one pickle from its first opcode to STOP.

A small symbolic machine keeps the stack and memo, because what protocol 4 imports is computed on the stack.
"""

import pickletools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from anfl.inspection.codes import Code, Finding
from anfl.inspection.pickles.arrays import WRAPPER, ArrayMachine, is_wrapper, skip_array
from anfl.inspection.pickles.calls import judge_call
from anfl.inspection.pickles.dtypes import DTYPE, judge_type
from anfl.inspection.pickles.globals import judge
from anfl.inspection.pickles.machine import (
    KEPT_ITEMS,
    NEVER,
    SEVERAL,
    UNKNOWN,
    Global,
    Instance,
    Machine,
    Several,
    merge,
)
from anfl.inspection.pickles.natives import judge_native
from anfl.inspection.pickles.ndarrays import judge_array
from anfl.inspection.pickles.values import count, line, memo_index, push_value
from anfl.inspection.streams import Cursor

_OPCODES = {opcode.code: opcode.name for opcode in pickletools.opcodes}
_NEWEST_PROTOCOL = 5
_MAX_OF_A_CODE = 25
"""Findings of one code that are kept: many of one hide none of another."""
_TICK_EVERY = 65_536


class Loader(Enum):
    """Who would load the pickle: they read the same bytes differently."""

    PICKLE = "pickle"
    TORCH = "torch"
    """Knows persistent ids: they name tensors."""
    JOBLIB = "joblib"
    """Skips an array's data, which follows its wrapper; to others that data is opcodes."""


@dataclass
class Found:
    """Findings without repetition, and what else matters of a pickle that may be none."""

    findings: dict[tuple[str, str], Finding] = field(default_factory=dict)
    joblib: bool = False
    """joblib would read it differently."""
    objects: bool = False
    """Among joblib's arrays are some of objects: pickles of their own."""
    calls: bool = False
    """It calls what it must not even name: whatever comes behind, that much is done."""
    first: list[Finding] = field(default_factory=list)
    """What it must not name, where the first pickle calls some of it: `pickle.load` reads no other."""
    _counts: Counter[str] = field(default_factory=Counter)

    def add(self, finding: Finding | None) -> None:
        """Keep a finding, if it is one."""
        if finding is not None and self._counts[finding.code] < _MAX_OF_A_CODE:
            self._counts[finding.code] += (finding.code, finding.detail) not in self.findings
            self.findings[finding.code, finding.detail] = finding


class Walk:
    """One pickle."""

    def __init__(self, cursor: Cursor, found: Found, *, loader: Loader, tick: Callable[[], None]) -> None:
        """:param tick: raises when the time is over."""
        self._cursor = cursor
        self._found = found
        self._loader = loader
        self._tick = tick
        self._machine = ArrayMachine() if loader is Loader.JOBLIB else Machine()
        self._frame_ends = 0
        """Where, in bytes of the cursor."""

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
            name = _OPCODES.get(code.decode("latin-1"))
            if name is None:
                raise Finding(Code.MALFORMED, f"no pickle opcode is 0x{code.hex()}")
            if name == "STOP":
                return self._machine.pop()
            self._step(name)

    def _step(self, name: str) -> None:
        machine, cursor = self._machine, self._cursor
        match name:
            case "PROTO":
                if cursor.read(1)[0] > _NEWEST_PROTOCOL:
                    raise Finding(Code.MALFORMED, "no such pickle protocol")
            case "FRAME":
                length = count(cursor, 8)
                self._frame_ends = cursor.taken + length
            case "MARK":
                machine.mark()
            case "POP":
                machine.drop()
            case "POP_MARK":
                machine.group()
            case "DUP":
                machine.share(machine.top())
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                machine.remember(self._index(name))
            case "MEMOIZE":
                machine.remember(len(machine.memo))
            case "GET" | "BINGET" | "LONG_BINGET":
                machine.recall(self._index(name))
            case "APPEND" | "APPENDS" | "ADDITEMS" | "SETITEM" | "SETITEMS" | "BUILD":
                self._change(name)
            case "PERSID" | "BINPERSID":
                self._persistent(name)
            case "EXT1" | "EXT2" | "EXT4":
                detail = "uses the extension registry, which hides what is imported"
                raise Finding(Code.OBSCURED_GLOBAL, detail)
            case "NEXT_BUFFER":
                raise Finding(Code.MALFORMED, "expects buffers that are not in the file")
            case "READONLY_BUFFER":
                machine.top()
            case _:
                self._make(name)

    def _make(self, name: str) -> None:
        machine = self._machine
        match name:
            case "GLOBAL":
                machine.push(self._global(line(self._cursor), line(self._cursor)))
            case "STACK_GLOBAL":
                attribute, module = machine.pop(), machine.pop()
                machine.push(self._global(module, attribute))
            case "INST":
                callee = self._global(line(self._cursor), line(self._cursor))
                self._call(callee, tuple(machine.group()[:KEPT_ITEMS]))
            case "OBJ":
                items = machine.group()
                if not items:
                    raise Finding(Code.MALFORMED, "a pickle makes an object of nothing")
                self._call(items[0], tuple(items[1:KEPT_ITEMS]))
            case "REDUCE" | "NEWOBJ":
                arguments = machine.pop()
                self._call(machine.callee(), arguments)
            case "NEWOBJ_EX":
                named, arguments = machine.pop(), machine.pop()
                if isinstance(named, dict) and isinstance(arguments, tuple):
                    arguments = (*arguments, *named.values())
                self._call(machine.callee(), arguments)
            case _:
                push_value(name, self._cursor, machine)

    def _call(self, callee: object, arguments: object) -> None:
        self._found.add(judge_call(callee, arguments))
        if isinstance(callee, Global) and _can_be(callee) and judge(callee.module, callee.name) is not None:
            self._found.calls = True
        self._machine.push(Instance(callee, arguments))

    def _change(self, name: str) -> None:
        """Opcodes that change what lies below their arguments."""
        machine = self._machine
        if name in ("APPEND", "BUILD"):
            items = [machine.pop()]
        elif name == "SETITEM":
            items = [machine.pop(), machine.pop()][::-1]
        else:
            items = machine.group()
        target = machine.top()
        if isinstance(target, Global):
            detail = f"loading it would change {target.module}.{target.name}"
            self._found.add(Finding(Code.PATCHED_GLOBAL, detail))
        elif isinstance(target, Several):
            target.length += len(items)
        elif name.startswith("SETITEM"):
            merge(target, items)
        elif name == "BUILD" and isinstance(target, Instance):
            if self._loader is Loader.JOBLIB and is_wrapper(target):
                self._array(target, items[0])
            again = target.state is not NEVER
            target.state = SEVERAL if again else items[0]
            if target.of == DTYPE:
                self._found.add(judge_type(target))
            else:
                self._found.add(judge_native(target, items[0]) or judge_array(target, items[0], again=again))

    def _array(self, wrapper: Instance, state: object) -> None:
        """What joblib does: the data follow, and an array takes the wrapper's place."""
        if self._cursor.taken < self._frame_ends:
            detail = "an array of joblib's in the middle of a frame, which joblib reads from behind it"
            raise Finding(Code.UNREADABLE_ARRAY, detail)
        if skip_array(self._cursor, wrapper, state):
            self._found.objects = True
            Walk(self._cursor, self._found, loader=Loader.PICKLE, tick=self._tick).run()
        self._machine.callee()
        self._machine.push(UNKNOWN)

    def _global(self, module: object, name: object) -> Global:
        if not isinstance(module, str) or not isinstance(name, str):
            self._found.add(Finding(Code.OBSCURED_GLOBAL, "computes the name of what it imports"))
            return Global("?", "?")
        self._found.add(judge(module, name))
        imported = Global(module, name)
        self._found.joblib = self._found.joblib or imported == WRAPPER
        return imported

    def _persistent(self, name: str) -> None:
        if name == "PERSID":
            line(self._cursor)
        else:
            self._machine.pop()
        if self._loader is not Loader.TORCH:
            self._found.add(Finding(Code.PERSISTENT_ID, "refers to objects outside the file"))
        self._machine.push(UNKNOWN)

    def _index(self, name: str) -> int:
        """An index into the memo."""
        if name in ("PUT", "GET"):
            return memo_index(self._cursor)
        return count(self._cursor, 4 if name.startswith("LONG") else 1)


def _can_be(called: Global) -> bool:
    """Whether there may be a module of that name: lines of a text are none."""
    return all(part.isidentifier() for part in called.module.split("."))
