"""A row store as files that never change, its segments, and a rest that does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from anfl.vectors.model import IndexSettings, Metadata, Metric

FORMAT = 1


@dataclass(frozen=True)
class Image:
    """Segments, each a folder of files that never change, and the rest (see `Rest`)."""

    segments: tuple[Path, ...]
    rest: bytes


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """What an image holds beside its segments. Each of the last five has one member a fresh row."""

    format: int = FORMAT
    version: int
    """The sequence of the last batch that changed a row and is in it."""
    dimension: int
    metric: Metric
    index: IndexSettings
    alive: list[bytes]
    """For each segment the set of its rows that are alive, as `bitmaps` lays it out."""
    ids: list[str]
    values: bytes
    """Little-endian float32 (n, dimension)."""
    metadata: list[Metadata]
    expires_at: list[float | None]
    versions: list[int]

    def encode(self) -> bytes:
        """For `rest_of`, which may run elsewhere."""
        return msgspec.msgpack.encode(self)


def rest_of(image: Image) -> Rest:
    """Read an image's rest.

    :raises ValueError: it is damaged, or of a format that is not known here.
    """
    try:
        rest = msgspec.msgpack.decode(image.rest, type=Rest)
    except msgspec.MsgspecError as error:
        raise ValueError(f"no rest of an image: {error}") from error
    if rest.format != FORMAT:
        raise ValueError(f"images of format {rest.format} are not known here")
    lists: tuple[list[Any], ...] = (rest.metadata, rest.expires_at, rest.versions)
    fits = len(rest.values) == 4 * rest.dimension * len(rest.ids) and len(rest.alive) == len(image.segments)
    if not fits or any(len(members) != len(rest.ids) for members in lists):
        raise ValueError("an image whose parts do not fit together")
    return rest
