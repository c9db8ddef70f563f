"""Compressed request bodies (RFC 9110 section 8.4): gzip and zstd, a bounded piece at a time."""

import sys
import zlib
from collections.abc import Iterator
from http import HTTPStatus

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from anfl.problems import Problem, invalid

PIECE_BYTES = 2**20
"""Most bytes that one step makes of a body, however much it holds: a bomb is found out before it is in memory."""
READ_BYTES = 2**16
"""Of a body that a step is given: what it leaves is copied, so a body of tiny members would be copied for each."""
MAX_MEMBERS = 10_000
"""Members of gzip, or frames of zstd, in a body. What holds nothing costs a step, too; who makes many of what is large
makes them of 64 kB and more."""
ACCEPTED = "gzip, zstd"
_WINDOW_LOG = 23
"""RFC 9659: a content encoding needs windows of 8 MB at most."""


def pieces(body: bytes, encoding: bytes) -> Iterator[bytes]:
    """``body`` decompressed, at most `PIECE_BYTES` at a time.

    :raises Problem: 400 ``malformed_body`` for what is not compressed so; 415 for another encoding.
    """
    match encoding.strip().lower():
        case b"identity":
            return iter((body,))
        case b"gzip" | b"x-gzip":
            return _refusing(_gunzip(body), "gzip")
        case b"zstd":
            return _refusing(_unzstd(body), "zstd")
        case _:
            raise Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "unsupported_encoding",
                f"A body may be compressed by one of: {ACCEPTED}.",
                field="content-encoding",
                headers={"accept-encoding": ACCEPTED},
            )


def _refusing(parts: Iterator[bytes], name: str) -> Iterator[bytes]:
    try:
        yield from parts
    except (zlib.error, zstd.ZstdError) as error:
        raise invalid(f"The body is not {name}: {error}.", code="malformed_body") from None


def _gunzip(body: bytes) -> Iterator[bytes]:
    rest = memoryview(body)
    for _ in _members():  # a file of several members is one body
        if not rest:
            return
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        while not member.eof:
            given = rest[:READ_BYTES]
            piece = member.decompress(given, PIECE_BYTES)
            if not piece and not given and not member.eof:
                raise _cut_off()
            rest = rest[len(given) - len(member.unused_data or member.unconsumed_tail) :]
            yield piece


def _unzstd(body: bytes) -> Iterator[bytes]:
    whole, place = memoryview(body), 0
    for _ in _members():
        if place == len(whole):
            return
        frame = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})
        while not frame.eof:
            given = whole[place : place + READ_BYTES] if frame.needs_input else b""
            if frame.needs_input and not given:
                raise _cut_off()
            piece = frame.decompress(given, PIECE_BYTES)
            place += len(given)
            yield piece
        place -= len(frame.unused_data)


def _members() -> Iterator[int]:
    """As many times as there may be members, and once to find that there are no more.

    :raises Problem: 400, there are.
    """
    yield from range(MAX_MEMBERS + 1)
    raise invalid(f"The body is compressed in more than {MAX_MEMBERS} members.", code="malformed_body")


def _cut_off() -> Problem:
    return invalid("The body ends before its compressed contents do.", code="malformed_body")
