"""What a vector index holds at a moment: what its table held some time before."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from local.aws.vectors.definitions import Definition

Attributes = Mapping[str, Any]
"""As DynamoDB's JSON has them: name → {type: value}."""
Key = tuple[Any, ...]
"""Of an item in its table."""


@dataclass(frozen=True)
class Entry:
    """An indexed item, and its vector (dimensions,) as float32."""

    attributes: Attributes
    vector: NDArray[np.float32]


@dataclass(kw_only=True)
class Delays:
    """Of all indexes of this process; changed by whoever wants to see what AWS may do."""

    indexing: float = 0.0
    """Seconds from a write to its place in the index."""
    serving: float = 0.0
    """Seconds from an index's creation, when it says that it is active, until it answers."""


@dataclass(kw_only=True)
class VectorIndex:
    """One index in one region. ``item_of`` is what the table holds under a key now; None for nothing."""

    definition: Definition
    item_of: Callable[[Key], Attributes | None]
    delays: Delays
    clock: Callable[[], float] = time.monotonic
    created: float = 0.0
    _pending: dict[Key, float] = field(default_factory=dict)
    """When the item of a key changed last."""
    _entries: dict[Key, Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.created = self.clock()

    @property
    def answers(self) -> bool:
        """Whether it may be searched."""
        return self.clock() >= self.created + self.delays.serving

    def changed(self, key: Key) -> None:
        """The item under ``key`` was written or deleted."""
        self._pending.setdefault(key, self.clock())

    def entries(self) -> Iterator[Entry]:
        """What is indexed now."""
        due = self.clock() - self.delays.indexing
        for key in [key for key, moment in self._pending.items() if moment <= due]:
            del self._pending[key]
            self._index(key)
        yield from list(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def _index(self, key: Key) -> None:
        """An item without a vector, or without the partition key, is not indexed; nobody is told."""
        item = self.item_of(key)
        needed = [self.definition.attribute, *filter(None, [self.definition.partition_key])]
        if item is None or any(name not in item for name in needed):
            self._entries.pop(key, None)
            return
        numbers = [float(element["N"]) for element in item[self.definition.attribute]["L"]]
        self._entries[key] = Entry(item, np.array(numbers, dtype=np.float32))
