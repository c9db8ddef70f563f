"""What the vector store is about: collections, their settings, their rows."""

import math
from enum import StrEnum
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from anfl.vectors.moving.records import Filling, Moving

Values = NDArray[np.float32]
Scalar = str | int | float | bool | None
Metadata = dict[str, Scalar | list[Scalar]]
"""Strings, numbers, booleans, null, and lists of them."""

MAX_NAME = 63
NAME_PATTERN = rf"^[A-Za-z0-9][A-Za-z0-9_-]{{0,{MAX_NAME - 1}}}$(?!\n)"
"""Python's ``$`` also stands before a last newline; ECMAScript, which OpenAPI means, reads this the same way."""
Name = Annotated[
    str,
    msgspec.Meta(
        pattern=NAME_PATTERN,
        description=f"Names are up to {MAX_NAME} letters, digits, hyphens and underscores, a letter or digit first",
    ),
]
TENANT_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$(?!\n)"
MAX_DIMENSION = 4096
MAX_ID_BYTES = 512
MAX_FIELDS = 256
"""Declared fields of a collection; the catalogue's item has to hold them."""
LONGEST = 2.0**62
SHORTEST = 2.0**-62
"""Lengths between which squares, and squares of differences, stay within float32."""


class Metric(StrEnum):
    """Distances, ascending in every case: cosine = 1 − cos, l2 = √Σ(a−b)², ip = −a·b."""

    COSINE = "cosine"
    L2 = "l2"
    IP = "ip"


class FieldType(StrEnum):
    """Types that a collection can declare for a field of the metadata."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    STRINGS = "string[]"


FieldName = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Fields = Annotated[dict[FieldName, FieldType], msgspec.Meta(max_length=MAX_FIELDS)]


class IndexSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the HNSW graph (Malkov, Yashunin: Efficient and robust approximate nearest neighbor search)."""

    m: Annotated[int, msgspec.Meta(ge=2, le=128)] = 16
    ef_construction: Annotated[int, msgspec.Meta(ge=4, le=2000)] = 200
    ef_search: Annotated[int, msgspec.Meta(ge=1, le=4000)] = 64


class CollectionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a caller chooses for a collection."""

    name: Name
    dimension: Annotated[int, msgspec.Meta(ge=1, le=MAX_DIMENSION)]
    metric: Metric = Metric.COSINE
    index: IndexSettings = IndexSettings()
    fields: Fields = {}
    engine: Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["hnsw", "dynamodb"]})] = "hnsw"
    """Checked by `anfl.vectors.engines.Engines`, which knows those there are."""


class Fork(msgspec.Struct, frozen=True, kw_only=True):
    """Where an epoch began: behind ``fork_sequence`` of ``parent_epoch``. What that has above it is given up."""

    epoch: int
    parent_epoch: int
    fork_sequence: int


class PendingField(msgspec.Struct, frozen=True, kw_only=True):
    """A field that was declared while there were rows (see `anfl.vectors.declarations`)."""

    type: FieldType
    revision: int
    """Of the settings that declared it."""
    contradicting: int | None = None
    """Rows that turned out to hold another type, so that nothing came of it; None as long as that is not known."""

    @property
    def is_building(self) -> bool:
        """Whether it is not known yet what comes of it."""
        return self.contradicting is None


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """A collection as the catalogue holds it. ``incarnation`` tells it from earlier ones of the same name."""

    tenant: str
    settings: CollectionSettings
    incarnation: str
    created_at: float
    epoch: int = 1
    forks: tuple[Fork, ...] = ()
    """Of every epoch but the first, oldest first; sequences go on across them."""
    home: str | None = None
    """Region that created it: its log is written there. None for one that was made before homes were noted."""
    begins_at: int = 0
    """Sequence of its first state: that of the snapshot of which it was made. Nothing before it stands in its log."""
    revision: int = 0
    """How often its owner has changed the settings."""
    pending: dict[FieldName, PendingField] = {}
    """Fields that are declared, and not among the ``fields`` of the settings yet."""
    engine_class: str | None = None
    """Which table of the engine ``dynamodb`` has its rows, from its creation on; None for another engine."""
    sealed: bool = False
    """Whether its objects are sealed (`anfl.vectors.sealing`), from its creation on and for ever."""
    moving: Moving | None = None
    """Where it goes, or went (`anfl.vectors.moving`)."""
    filling: Filling | None = None
    """Where its rows come, or came, from."""

    @property
    def name(self) -> str:
        """Its name within the tenant."""
        return self.settings.name

    @property
    def prefix(self) -> str:
        """Of every key of its objects."""
        return f"{self.tenant}/{self.name}/{self.incarnation}/"

    @property
    def building(self) -> dict[FieldName, FieldType]:
        """Fields that cannot be filtered by yet."""
        return {name: field.type for name, field in self.pending.items() if field.is_building}

    @property
    def enforced(self) -> dict[FieldName, FieldType]:
        """What is written has to fit these types."""
        return {**self.settings.fields, **self.building} if self.pending else self.settings.fields

    def position(self, sequence: int) -> "Position":
        """``sequence`` with the epoch that wrote it."""
        epoch = self.epoch
        for fork in reversed(self.forks):
            if sequence > fork.fork_sequence:
                break
            epoch = fork.parent_epoch
        return Position(epoch, sequence)

    def holds(self, position: "Position") -> bool:
        """Whether ``position`` is, or will be, part of this collection's history."""
        return self.position(position.sequence) == position


def first_epoch(incarnation: str) -> int:
    """The epoch with which an incarnation begins: of its own, so that no position of another one is taken for its."""
    return int(incarnation[:6], 16) + 1


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row's after-image in the log. ``values`` are the caller's float32 numbers, little-endian, bit-exact."""

    id: str
    values: bytes
    metadata: Metadata = {}
    expires_at: float | None = None


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in a collection's log; opaque text ``epoch.sequence`` to callers."""

    epoch: int
    sequence: int

    def __str__(self) -> str:
        """Text for callers."""
        return f"{self.epoch}.{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Read what `__str__` wrote.

        :raises ValueError: it is none.
        """
        epoch, separator, sequence = text.partition(".")
        if not (separator and epoch.isdecimal() and sequence.isdecimal() and len(text) <= 40):
            raise ValueError(f"{text!r} is no position")
        return cls(int(epoch), int(sequence))


def is_number(value: object) -> bool:
    """Whether ``value`` is a finite number and no boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -math.inf < value < math.inf


def matches_type(value: object, declared: FieldType) -> bool:
    """Whether a metadata value may stand in a field of the ``declared`` type; null always may."""
    if value is None:
        return True
    match declared:
        case FieldType.STRING:
            return isinstance(value, str)
        case FieldType.NUMBER:
            return is_number(value)
        case FieldType.BOOLEAN:
            return isinstance(value, bool)
        case FieldType.STRINGS:
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
