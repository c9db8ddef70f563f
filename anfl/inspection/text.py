"""Text files: plain, and those that are code."""

import codecs
import re
from pathlib import PurePosixPath
from typing import IO

SOURCES = (".py", ".pyw", ".sh", ".bat", ".cmd", ".ps1", ".js")
"""Extensions of code that is text."""
_CODE = frozenset({*SOURCES, ".pyc", ".so", ".pyd", ".dll", ".dylib", ".jar", ".pth"})
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_CHUNK_BYTES = 1024 * 1024


def is_code(name: str) -> bool:
    """Whether a file's name says that it is meant to be run."""
    return PurePosixPath(name).suffix.lower() in _CODE


def may_begin_text(head: bytes) -> bool:
    """Whether a stream that begins with ``head`` may be text as `is_text` takes it."""
    try:
        return _CONTROL.search(codecs.getincrementaldecoder("utf-8")().decode(head)) is None
    except UnicodeDecodeError:
        return False


def is_text(stream: IO[bytes]) -> bool:
    """Whether the stream is UTF-8 text without control characters (reads it to its end)."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := stream.read(_CHUNK_BYTES):
            if _CONTROL.search(decoder.decode(chunk)):
                return False
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
