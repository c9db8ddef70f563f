"""All rows of a collection on a node: views to read, batches that change them, images to keep and to hand over."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from anfl.vectors.engine import bitmaps
from anfl.vectors.engine.batch import Batch
from anfl.vectors.engine.fresh import Fresh, NewRows
from anfl.vectors.engine.images import Image, Rest, rest_of
from anfl.vectors.engine.segment import Segment
from anfl.vectors.engine.selection import Selections
from anfl.vectors.engine.tiers import FRESH_ROWS, HEAVY_BYTES, Sizes, next_step
from anfl.vectors.engine.view import Found, Part, View
from anfl.vectors.model import IndexSettings, Metric, Values

DEAD_ROWS = 1_000
"""Dead fresh rows that may stand beside as many as are alive."""
DELETED_IDS = 100_000
"""Most deletions remembered for images that are on their way; older images are refused beyond it."""
MOST_UNMERGED = 5 * FRESH_ROWS
"""Fresh rows above which writers are to slow down: whoever builds graphs does not keep up."""
MOST_UNMERGED_BYTES = 4 * HEAVY_BYTES
"""Memory that they take, likewise."""


class RowStore:
    """One thread at a time changes it; a `view` may be read by others meanwhile, and shows whole batches."""

    def __init__(self, *, dimension: int, metric: Metric, index: IndexSettings) -> None:
        self.version = 0
        """The sequence of the last batch that changed rows."""
        self._dimension = dimension
        self._metric = metric
        self._base = 0
        """Images of earlier versions are refused: what has changed since is not known."""
        self._deleted: dict[str, int] = {}
        """Versions at which ids were deleted, since the base."""
        self._fresh = Fresh(dimension, metric)
        self.view = View((), Part(self._fresh.rows(), bitmaps.nothing(0)), index, Selections())
        """The rows as they are now."""

    @property
    def index(self) -> IndexSettings:
        """Parameters of the graphs, and of searches in them."""
        return self.view.index

    @index.setter
    def index(self, index: IndexSettings) -> None:
        self.view = View(self.view.segments, self.view.fresh, index, self.view.selections)

    def __len__(self) -> int:
        """Alive rows, expired ones included."""
        return self.view.count

    def get(self, row_id: str) -> Found | None:
        """The row ``row_id``, expired or not."""
        return self.view.get(row_id)

    def ids(self) -> Iterator[str]:
        """Every id, expired or not, in no order."""
        return self.view.ids()

    @property
    def unmerged(self) -> int:
        """Alive rows outside a segment."""
        return self.view.fresh.count

    @property
    def unmerged_bytes(self) -> int:
        """About the memory that they take."""
        return self._fresh.row_bytes * self.unmerged // max(1, self._fresh.size)

    @property
    def is_heavy(self) -> bool:
        """Whether that is much, however few they are."""
        return self.unmerged_bytes > HEAVY_BYTES

    @property
    def is_backlogged(self) -> bool:
        """Whether they have become so many, or so large, that writers are to slow down."""
        return self.unmerged > MOST_UNMERGED or self.unmerged_bytes > MOST_UNMERGED_BYTES

    @property
    def segments(self) -> list[Segment]:
        """Those that hold alive rows."""
        return [part.rows for part in self.view.segments if isinstance(part.rows, Segment)]

    @property
    def private_bytes(self) -> int:
        """About the memory that this process alone has for it."""
        per_segment = sum(part.alive.nbytes + 10 * part.rows.size for part in self.view.segments)
        return self._fresh.private_bytes + per_segment + self.view.selections.nbytes + 200 * len(self._deleted)

    @property
    def mapped_bytes(self) -> int:
        """Bytes of files that are mapped, shared with the node's other processes."""
        return sum(segment.mapped_bytes for segment in self.segments)

    @property
    def bytes(self) -> int:
        """Both: what is gained by giving it up."""
        return self.private_bytes + self.mapped_bytes

    @contextmanager
    def batch(self, version: int) -> Iterator[Batch]:
        """Changes that readers see all at once when the block ends; none of them where it raises."""
        batch = Batch(self.view, self._fresh, version)
        try:
            yield batch
        except BaseException:
            self._rewrite_fresh()
            raise
        self.version = version
        self._deleted |= dict.fromkeys(batch.deleted, version)
        if len(self._deleted) > DELETED_IDS:
            self._base, self._deleted = version, {}
        self.view = batch.view()
        if self._fresh.size - self.unmerged > max(self.unmerged, DEAD_ROWS):
            self._rewrite_fresh()

    def is_due(self, *, now: float = 0.0, quiet: bool = False) -> bool:
        """Whether `compaction.compact` has anything to do for `image` of the same ``now``; ``quiet`` as there."""
        alive = [bitmaps.size(self.view.alive(part, now)) for part in (*self.view.segments, self.view.fresh)]
        sizes = [Sizes(part.rows.size, count) for part, count in zip(self.view.segments, alive, strict=False)]
        return next_step(sizes, alive[-1], quiet=quiet, heavy=self.is_heavy) is not None

    def image(self, *, now: float = 0.0) -> Image:
        """What `from_image` makes the same rows of, but for those that have expired at ``now``."""
        view = self.view
        rows = bitmaps.rows(view.alive(view.fresh, now), view.fresh.rows.size).tolist()
        fresh = _taken(self._fresh, view.fresh.rows.values, rows)
        rest = Rest(
            version=self.version,
            dimension=self._dimension,
            metric=self._metric,
            index=self.index,
            alive=[view.alive(part, now).tobytes() for part in view.segments],
            ids=list(fresh.ids),
            values=fresh.values.astype("<f4", copy=False).tobytes(),
            metadata=list(fresh.metadata),
            expires_at=list(fresh.expires_at),
            versions=list(fresh.versions),
        )
        return Image(tuple(segment.folder for segment in self.segments), rest.encode())

    @classmethod
    def from_image(cls, image: Image, *, verify: bool = False) -> "RowStore":
        """The rows of an image.

        :param verify: compare the SHA-256 of every file, as is right for what comes from elsewhere.
        :raises DamagedFileError, FileNotFoundError: a segment is damaged, or gone.
        :raises ValueError: the rest is damaged.
        """
        rest = rest_of(image)
        store = cls(dimension=rest.dimension, metric=rest.metric, index=rest.index)
        segments = [Segment(path, verify=verify) for path in image.segments]
        store._fresh, store.view = _opened(rest, segments, store.view)
        store.version = store._base = rest.version
        return store

    def install(self, image: Image) -> bool:
        """Take over the segments of an image of these very rows at an earlier version; no row changes.

        Returns False where that cannot be: the image is newer, or older than the last one taken over.

        :raises DamagedFileError, FileNotFoundError: a segment is damaged, or gone.
        :raises ValueError: the rest is damaged.
        """
        rest = rest_of(image)
        since = rest.version
        if not self._base <= since <= self.version:
            return False
        known = {segment.name: segment for segment in self.segments}
        segments = [known.get(path.name) or Segment(path) for path in image.segments]
        fresh, view = _opened(rest, segments, self.view)
        batch = Batch(view, fresh, self.version)
        changed = [row for row, version in enumerate(self._fresh.versions) if version > since]
        later = {row_id: version for row_id, version in self._deleted.items() if version > since}
        batch.delete({*later, *(self._fresh.ids[row] for row in changed)})
        alive = [row for row in changed if bitmaps.holds(self.view.fresh.alive, row)]
        batch.add(_taken(self._fresh, self.view.fresh.rows.values, alive))
        self._fresh, self._base, self._deleted = fresh, since, later
        self.view = batch.view()
        self._forget_selections()
        return True

    def _rewrite_fresh(self) -> None:
        """Write the fresh rows of the view again without dead ones."""
        alive = bitmaps.rows(self.view.fresh.alive, self.view.fresh.rows.size).tolist()
        rows = _taken(self._fresh, self.view.fresh.rows.values, alive)
        self._fresh = Fresh(self._dimension, self._metric)
        self._fresh.append(rows)
        fresh = Part(self._fresh.rows(), bitmaps.everything(self._fresh.size))
        self.view = View(self.view.segments, fresh, self.index, self.view.selections)
        self._forget_selections()

    def _forget_selections(self) -> None:
        self.view.selections.keep_only({segment.name for segment in self.segments}, self._fresh)


def _opened(rest: Rest, segments: Sequence[Segment], before: View) -> tuple[Fresh, View]:
    """The fresh rows of an image, and the view of all its rows; settings and memory as of ``before``."""
    fresh = Fresh(rest.dimension, rest.metric)
    values: Values = np.frombuffer(rest.values, dtype="<f4").reshape(-1, rest.dimension)
    fresh.append(
        NewRows(
            ids=rest.ids,
            values=values,
            metadata=rest.metadata,
            expires_at=rest.expires_at,
            versions=rest.versions,
        )
    )
    parts = []
    for segment, bits in zip(segments, rest.alive, strict=True):
        if len(bits) != bitmaps.nothing(segment.size).nbytes:
            raise ValueError(f"the set of segment {segment.name} is for other rows")
        alive = np.frombuffer(bits, dtype=np.uint64)
        if (alive & ~bitmaps.everything(segment.size)).any():
            raise ValueError(f"the set of segment {segment.name} has rows beyond the last")
        parts.append(Part(segment, alive))
    whole = Part(fresh.rows(), bitmaps.everything(fresh.size))
    return fresh, View(tuple(parts), whole, before.index, before.selections)


def _taken(fresh: Fresh, values: Values, rows: Sequence[int]) -> NewRows:
    return NewRows(
        ids=[fresh.ids[row] for row in rows],
        values=values[rows],
        metadata=[fresh.metadata[row] for row in rows],
        expires_at=[fresh.expires_at[row] for row in rows],
        versions=[fresh.versions[row] for row in rows],
    )
