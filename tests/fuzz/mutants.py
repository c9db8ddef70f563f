"""Pickles that are nearly those that libraries write: some opcodes, numbers, texts and names are others.

A format's own fuzzer would have to know what NumPy takes for an address. Whoever changes what NumPy writes comes there.
"""

import pickletools
import random
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

_NUMBERS = (0, 1, 2, 3, 4, 5, 7, 8, 16, 63, 64, 127, 128, 255, 256, 1000, 65_535, 65_536, 2**31 - 1, 2**31, 2**32)
_LARGE = (2**40, 2**62, 2**63 - 1, -1, -2, -8, -128, -(2**63))
_OTHERS = (b"N", b"\x88", b"\x89", b"G?\xf0\0\0\0\0\0\0")
"""None, true, false, 1.0."""
_TYPES = ("O8", "|O", "i4", "f8", "V8", "U5", "S3", "b1", "M8", "m8", "c16", "f2", "g", "<", ">", "|", "=", "")
_KINDS = {
    "number": {"BININT", "BININT1", "BININT2", "INT", "LONG1", "LONG", "NONE", "NEWTRUE", "NEWFALSE"},
    "text": {
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "UNICODE",
        "SHORT_BINBYTES",
        "BINBYTES",
        "SHORT_BINSTRING",
        "BYTEARRAY8",
    },
    "name": {"GLOBAL"},
}
_MOST_CHANGES = (1, 1, 1, 2, 2, 3, 5)
_LONGEST = 900
"""Opcodes of a pickle that is changed: in a longer one hardly any change is where it matters."""


@dataclass(frozen=True)
class Piece:
    """An opcode with its argument, as it stands in the pickle."""

    opcode: str
    argument: Any
    content: bytes


def pieces_of(pickled: bytes) -> list[Piece]:
    """The opcodes of a pickle without its frames, which need not be."""
    opcodes = [(opcode.name, argument, at or 0) for opcode, argument, at in pickletools.genops(pickled)]
    ends = [at for _, _, at in opcodes[1:]] + [len(pickled)]
    found = [Piece(name, argument, pickled[at:end]) for (name, argument, at), end in zip(opcodes, ends, strict=True)]
    return [piece for piece in found if piece.opcode != "FRAME"]


class Mutator:
    """Makes one pickle out of others, the same for the same seed."""

    def __init__(self, pickles: Iterable[bytes], *, seed: int) -> None:
        self._dice = random.Random(seed)
        self._bases = [pieces for pieces in map(pieces_of, pickles) if len(pieces) <= _LONGEST]
        of = {
            kind: [piece for base in self._bases for piece in base if piece.opcode in _KINDS[kind]] for kind in _KINDS
        }
        self._texts, self._names = of["text"], of["name"]

    def next(self) -> bytes:
        """Another one."""
        pieces = list(self._dice.choice(self._bases))
        for _ in range(self._dice.choice(_MOST_CHANGES)):
            self._change(pieces)
        return b"".join(piece.content for piece in pieces)

    def _change(self, pieces: list[Piece]) -> None:
        choice = self._dice.random()
        if choice < 0.35:
            self._replace(pieces, "number")
        elif choice < 0.6:
            self._replace(pieces, "text")
        elif choice < 0.68:
            self._replace(pieces, "name")
        elif choice < 0.78:
            del pieces[self._place(pieces)]
        elif choice < 0.86:
            pieces.insert(self._place(pieces), self._dice.choice(pieces))
        elif choice < 0.93:
            one, other = self._place(pieces), self._place(pieces)
            pieces[one], pieces[other] = pieces[other], pieces[one]
        else:
            others = self._dice.choice(self._bases)
            begin, at = self._place(others), self._place(pieces)
            pieces[at:at] = others[begin : begin + self._dice.randrange(1, 12)]

    def _place(self, pieces: Sequence[Piece]) -> int:
        return self._dice.randrange(1, max(len(pieces) - 1, 2))

    def _replace(self, pieces: list[Piece], kind: str) -> None:
        places = [place for place, piece in enumerate(pieces) if piece.opcode in _KINDS[kind]]
        if not places:
            return
        place = self._dice.choice(places)
        match kind:
            case "number":
                pieces[place] = self._number()
            case "text":
                pieces[place] = self._text(pieces[place])
            case _:
                pieces[place] = self._dice.choice(self._names)

    def _number(self) -> Piece:
        if self._dice.random() < 0.1:
            return Piece("NONE", None, self._dice.choice(_OTHERS))
        number = self._dice.choice(_NUMBERS + _LARGE)
        size = number.bit_length() // 8 + 1
        return Piece("LONG1", number, b"\x8a" + bytes([size]) + number.to_bytes(size, "little", signed=True))

    def _text(self, piece: Piece) -> Piece:
        text, choice = piece.argument, self._dice.random()
        if choice < 0.3 and text:
            cut = self._dice.randrange(len(text))
            text = text[:cut] + text[cut + 1 :]
        elif choice < 0.5:
            text += text[-1:] * self._dice.choice([1, 2, 8, 64])
        elif choice < 0.7:
            text = self._dice.choice(_TYPES)
        elif choice < 0.85:
            text = self._dice.choice(self._texts).argument
        elif text and not isinstance(text, str):
            changed = bytearray(text)
            changed[self._dice.randrange(len(changed))] = self._dice.randrange(256)
            text = bytes(changed)
        return Piece("BINUNICODE", text, _written(text))


def _written(text: str | bytes | bytearray) -> bytes:
    if isinstance(text, str):
        content = text.encode("utf-8", "surrogatepass")
        return b"X" + struct.pack("<I", len(content)) + content
    return b"B" + struct.pack("<I", len(text)) + bytes(text)
