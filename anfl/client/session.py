"""Session consistency: who wrote something sees it, whichever node answers."""

from collections.abc import Mapping
from typing import Any

import msgspec

from anfl.client.calls import Call
from anfl.client.errors import ApiError, ConflictError
from anfl.client.rows import encoded


class _Positioned(msgspec.Struct):
    sequence: str | None = None


class Session:
    """The newest position that this client has seen of each collection. It goes with every read."""

    def __init__(self) -> None:
        self._positions: dict[str, str] = {}

    def position(self, collection: str) -> str | None:
        """The position, to be handed to another client."""
        return self._positions.get(collection)

    def body(self, call: Call[Any]) -> bytes | None:
        """The body of ``call``.

        :raises UnsendableError: see `encoded`.
        """
        if call.body is None:
            return None
        return encoded({**self._fresh(call), **call.body}, f"{call.method} {call.path!r}")

    def params(self, call: Call[Any]) -> Mapping[str, Any] | None:
        """The query string of ``call``."""
        return call.params if call.params is None else {**self._fresh(call), **call.params}

    def note(self, call: Call[Any], body: bytes) -> None:
        """Learn from an answer."""
        if call.collection is None:
            return
        found = msgspec.json.decode(body, type=_Positioned).sequence
        known = self._positions.get(call.collection)
        if found is not None and (known is None or _follows(found, known, written=not call.fresh)):
            self._positions[call.collection] = found

    def forget(self, collection: str) -> None:
        """The collection is another one now, or its history was given up."""
        self._positions.pop(collection, None)

    def starts_anew(self, call: Call[Any], error: ApiError) -> bool:
        """Whether ``call`` may succeed without the position, which is of a history that a restore gave up."""
        lost = isinstance(error, ConflictError) and error.code == "history_lost"
        known = call.fresh and call.collection in self._positions
        own = known and "min_sequence" not in {**(call.body or {}), **(call.params or {})}
        if lost and own and call.collection is not None:
            self.forget(call.collection)
        return lost and own

    def _fresh(self, call: Call[Any]) -> dict[str, str]:
        position = self._positions.get(call.collection or "") if call.fresh else None
        return {} if position is None else {"min_sequence": position}


def _follows(found: str, known: str, *, written: bool) -> bool:
    """Whether a position counts from now on. Of another history, where an alias has moved, only that of a write does,
    which is of the present one: reads took ``known`` along, unless they were under way before it was."""
    (history, place), (known_history, known_place) = (each.split(".") for each in (found, known))
    return int(place) > int(known_place) if history == known_history else written
