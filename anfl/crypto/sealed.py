"""Bytes under AES-256-GCM (NIST SP 800-38D): the one form in which sealed things are kept, format 2.

``ANFL``, one byte each of format and kind, the name of the data key and the identity of what is sealed (both as one
byte of length and UTF-8), random bytes; then the ciphertext. This header and the place of the object are the associated
data of every encryption, so what was sealed opens nowhere else and under no other header.

*Whole* bodies: a random nonce of 96 bits under the data key itself, which may so seal 2^32 of them (SP 800-38D, 8.3): a
chance of one in 2^32 that two share a nonce. A data key seals what one collection writes in a day; at a thousand
objects a second that is a fiftieth of it.

*Framed* bodies: STREAM (Hoang, Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption and its Nonce-Reuse
Misuse-Resistance, CRYPTO 2015). Frames of 4 MiB, the last one shorter or as long; a frame's nonce is its number and a
flag for the last one, so that none can be left out, repeated, moved, or be the end that it is not. The key is the
body's own: HKDF-SHA256 (RFC 5869) of the data key by 32 random bytes of salt, as Tink's streaming AEAD has it.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from anfl.crypto.trouble import TamperedError

MAGIC = b"ANFL"
FORMAT = 2
KEY_BYTES = 32
FRAME_BYTES = 4 * 2**20
"""Of plaintext."""
_PREFIX = MAGIC + bytes([FORMAT])
_TAG = 16
_COUNTER = 11
KeyOf = Callable[[str], bytes]
"""The data key of a name, 32 bytes; raises what there is to say where it cannot be had."""


class Kind(IntEnum):
    """How the body follows."""

    WHOLE = 1
    FRAMED = 2

    @property
    def random_bytes(self) -> int:
        """The length of a nonce, or of a salt."""
        return 12 if self is Kind.WHOLE else 32


@dataclass(frozen=True)
class _Header:
    kind: Kind
    key_name: str
    identity: str
    random: bytes

    def encode(self) -> bytes:
        return _PREFIX + bytes([self.kind]) + _text(self.key_name) + _text(self.identity) + self.random

    @classmethod
    def read(cls, data: memoryview, kind: Kind) -> "_Header":
        """:raises TamperedError: the beginning of ``data`` is none of this kind."""
        if data[: len(_PREFIX)] != _PREFIX:
            raise TamperedError("not sealed")
        try:
            if data[len(_PREFIX)] != kind:
                raise TamperedError("another kind of body")
            key_name, end = _read_text(data, len(_PREFIX) + 1)
            identity, end = _read_text(data, end)
        except (IndexError, UnicodeDecodeError) as error:
            raise TamperedError("header") from error
        random = bytes(data[end : end + kind.random_bytes])
        if len(random) < kind.random_bytes:
            raise TamperedError("header")
        return cls(kind, key_name, identity, random)


def seal(body: bytes, *, key: bytes, key_name: str, place: str, identity: str) -> bytearray:
    """``body`` as an object at ``place``; made in one piece of memory, which costs more than to encrypt it.

    :param key: 32 bytes, by which name whoever opens it will ask for them.
    :param identity: whose body it is, at most 255 bytes of UTF-8.
    """
    header = _Header(Kind.WHOLE, key_name, identity, os.urandom(Kind.WHOLE.random_bytes))
    start = header.encode()
    made = bytearray(len(start) + len(body) + _TAG)
    made[: len(start)] = start
    AESGCM(key).encrypt_into(header.random, body, start + place.encode(), memoryview(made)[len(start) :])
    return made


def unseal(data: bytes, *, key_of: KeyOf, place: str) -> bytes:
    """The body of the object ``data`` at ``place``.

    :raises TamperedError: it was not sealed there, or is no longer what was.
    """
    view = memoryview(data)
    header = _Header.read(view, Kind.WHOLE)
    start = header.encode()
    try:
        return AESGCM(key_of(header.key_name)).decrypt(header.random, view[len(start) :], start + place.encode())
    except InvalidTag as error:
        raise TamperedError("authentication") from error


def seal_framed(body: bytes | bytearray, *, key: bytes, key_name: str, place: str, identity: str) -> bytearray:
    """Like `seal`, for large bodies; made in one piece of memory."""
    header = _Header(Kind.FRAMED, key_name, identity, os.urandom(Kind.FRAMED.random_bytes))
    start = header.encode()
    associated = start + place.encode()
    cipher = _own_cipher(key, header, associated)
    frames = max(1, -(-len(body) // FRAME_BYTES))
    made = bytearray(len(start) + len(body) + frames * _TAG)
    made[: len(start)] = start
    source, target, end = memoryview(body), memoryview(made), len(start)
    for number in range(frames):
        frame = source[number * FRAME_BYTES : (number + 1) * FRAME_BYTES]
        nonce = _nonce(number, last=number == frames - 1)
        end += cipher.encrypt_into(nonce, frame, associated, target[end : end + len(frame) + _TAG])
    return made


def unseal_framed(data: bytes, *, key_of: KeyOf, place: str) -> Iterator[memoryview]:
    """The body of what `seal_framed` made, a frame at a time. Each is gone when the next one is asked for.

    :raises TamperedError: it was not sealed there, or is no longer what was. What came before it is right as it is.
    """
    view = memoryview(data)
    header = _Header.read(view, Kind.FRAMED)
    start = header.encode()
    associated = start + place.encode()
    cipher = _own_cipher(key_of(header.key_name), header, associated)
    rest = view[len(start) :]
    frames = max(1, -(-len(rest) // (FRAME_BYTES + _TAG)))
    room = memoryview(bytearray(min(FRAME_BYTES, max(0, len(rest) - _TAG))))
    for number in range(frames):
        frame = rest[number * (FRAME_BYTES + _TAG) : (number + 1) * (FRAME_BYTES + _TAG)]
        if len(frame) < _TAG:
            raise TamperedError("truncated")
        body = room[: len(frame) - _TAG]
        try:
            cipher.decrypt_into(_nonce(number, last=number == frames - 1), frame, associated, body)
        except InvalidTag as error:
            raise TamperedError("authentication") from error
        yield body


def _own_cipher(key: bytes, header: _Header, associated: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=header.random, info=associated).derive(key))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_COUNTER, "big") + bytes([last])


def _text(text: str) -> bytes:
    encoded = text.encode()
    return bytes([len(encoded)]) + encoded


def _read_text(data: memoryview, start: int) -> tuple[str, int]:
    end = start + 1 + data[start]
    return bytes(data[start + 1 : end]).decode(), end
