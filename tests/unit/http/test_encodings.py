"""Compressed bodies: what is well-formed comes through, what is not is refused, and a bomb stays a spark."""

import gzip
import random
import sys
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from anfl.http.encodings import MAX_MEMBERS, PIECE_BYTES, READ_BYTES, pieces
from anfl.problems import Problem

PACKERS: dict[bytes, Callable[[bytes], bytes]] = {b"gzip": gzip.compress, b"zstd": zstd.compress}
CONTENT = bytes(range(256)) * 20_000


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_body_comes_out_as_it_went_in(encoding: bytes) -> None:
    packed = PACKERS[encoding](CONTENT)
    assert b"".join(pieces(packed, encoding)) == CONTENT
    assert b"".join(pieces(packed + PACKERS[encoding](b"more"), encoding)) == CONTENT + b"more"
    assert b"".join(pieces(b"", encoding)) == b""


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_piece_is_bounded_however_much_there_is(encoding: bytes) -> None:
    bomb = PACKERS[encoding](bytes(200 * PIECE_BYTES))
    assert len(bomb) < PIECE_BYTES
    tracemalloc.start()
    try:
        found = pieces(bomb, encoding)
        assert [len(next(found)) <= PIECE_BYTES for _ in range(3)] == [True] * 3
        assert tracemalloc.get_traced_memory()[1] < 32 * PIECE_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", PACKERS)
def test_members_that_end_anywhere_come_out_as_they_went_in(encoding: bytes) -> None:
    noise = random.Random(0).randbytes(2 * READ_BYTES)
    members = [noise[:size] for size in (0, 1, READ_BYTES - 40, READ_BYTES, READ_BYTES + 40, 0, 2 * READ_BYTES)]
    packed = b"".join(map(PACKERS[encoding], members))
    assert b"".join(pieces(packed, encoding)) == b"".join(members)


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_body_of_more_members_than_anybody_makes_is_refused(encoding: bytes) -> None:
    empty = PACKERS[encoding](b"")
    assert b"".join(pieces(empty * MAX_MEMBERS, encoding)) == b""
    with pytest.raises(Problem) as refused:
        list(pieces(empty * (MAX_MEMBERS + 1), encoding))
    assert (refused.value.status, refused.value.code) == (400, "malformed_body")


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize("body", [b"{}", b"\x00" * 30, "cut"])
def test_what_is_not_compressed_so_is_refused(encoding: bytes, body: bytes | str) -> None:
    given = PACKERS[encoding](CONTENT)[:-9] if isinstance(body, str) else body
    with pytest.raises(Problem) as refused:
        list(pieces(given, encoding))
    assert (refused.value.status, refused.value.code) == (400, "malformed_body")


def test_an_unknown_encoding_is_told_what_there_is() -> None:
    with pytest.raises(Problem) as refused:
        pieces(zlib.compress(b"{}"), b"deflate")
    assert refused.value.status == 415
    assert refused.value.headers()["accept-encoding"] == "gzip, zstd"


def test_a_window_beyond_the_standard_is_refused() -> None:
    large = zstd.compress(CONTENT, options={zstd.CompressionParameter.window_log: 27})
    streamed = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    unsized = streamed.compress(CONTENT) + streamed.flush()
    assert b"".join(pieces(large, b"zstd")) == CONTENT  # a frame that says its size needs no more than that
    with pytest.raises(Problem):
        list(pieces(unsized, b"zstd"))
