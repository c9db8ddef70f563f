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
    while body:  # a file of several members is one body
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        while not member.eof:
            piece = member.decompress(body, PIECE_BYTES)
            body = member.unconsumed_tail
            if not piece and not body and not member.eof:
                raise _cut_off()
            yield piece
        body = member.unused_data


def _unzstd(body: bytes) -> Iterator[bytes]:
    while body:
        frame = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})
        while not frame.eof:
            if frame.needs_input and not body:
                raise _cut_off()
            piece = frame.decompress(body, PIECE_BYTES)
            body = b""
            yield piece
        body = frame.unused_data


def _cut_off() -> Problem:
    return invalid("The body ends before its compressed contents do.", code="malformed_body")
