"""Whatever a loader would import, the walk has judged: compared with Python's own unpicklers on random opcodes.

The unpicklers get harmless stand-ins for everything that they import.
"""

import io
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anfl.inspection.pickles.files import pickle_file, pickle_stream
from anfl.inspection.pickles.globals import judge
from anfl.inspection.streams import Cursor
from tests.unit.inspection.corpus.pickles import text

_PIECES = [
    *(bytes([code]) for code in b"N()]}t0121bsuaeRold."),
    *(bytes([code]) for code in (0x81, 0x85, 0x86, 0x87, 0x8F, 0x90, 0x91, 0x92, 0x93, 0x94)),
    *(text(name) for name in ("os", "system", "collections", "OrderedDict")),
    *(b"cos\nsystem\n", b"ccollections\nOrderedDict\n", b"ios\nsystem\n", b"iattacker\nrun\n"),
    *(b"h\x00", b"h\x01", b"q\x00", b"q\x01", b"g0\n", b"p1\n", b"j\x02\0\0\0", b"r\x02\0\0\0"),
    *(b"S'o\\x73'\n", b"Vsyste\\u006d\n", b"T\x02\0\0\0os", b"U\x06system", b"X\x02\0\0\0os"),
    *(b"I0x10\n", b"I\n", b"L0x10L\n", b"p 1\n", b"g+0\n"),
    *(b"K\x01", b"I01\n", b"\x80\x04", b"\x8a\x01\x05", b"C\x01.", b"B\x02\0\0\0N."),
]


class StandIn:
    """In the place of everything that is imported."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


def recording(base: Any) -> Any:
    """An unpickler of Python's that imports nothing and tells what it would have imported."""

    class Recording(base):  # type: ignore[misc]
        def __init__(self, stream: io.BytesIO) -> None:
            super().__init__(stream)
            self.imported: list[tuple[str, str]] = []

        def find_class(self, module: str, name: str) -> type:
            self.imported.append((module, name))
            return type("Own", (StandIn,), {})

    return Recording


@pytest.mark.parametrize("base", [pickle.Unpickler, pickle._Unpickler], ids=["c", "python"])
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.sampled_from(_PIECES), min_size=2, max_size=30))
def test_nothing_is_imported_that_was_not_judged(base: Any, pieces: list[bytes], tmp_path: Path) -> None:
    content = b"".join(pieces) + b"."
    unpickler = recording(base)(io.BytesIO(content))
    with suppress(Exception):  # most random pickles are broken, which is no matter here
        unpickler.load()
    questionable = {finding.code for name in unpickler.imported if (finding := judge(*name)) is not None}
    codes = {finding.code for finding in pickle_stream(Cursor(io.BytesIO(content)), tick=lambda: None)}
    assert questionable <= codes
    path = tmp_path / "pickle"
    path.write_bytes(content)
    assert questionable <= {finding.code for finding in pickle_file(path, tick=lambda: None)}
