"""Wrapped keys as they stand in a bucket, for whoever looks on from outside."""

from collections.abc import Callable, Mapping

from anfl.vectors.sealing import unpacked
from tests.unit.crypto.wrapping import FakeTransit


class Peeked:
    """`anfl.crypto.data_keys.WrappedKeys` that only tells. No call takes a turn, and Vault always answers."""

    def __init__(self, objects: Mapping[str, bytes], transit: FakeTransit) -> None:
        self._objects = objects
        self._transit = transit

    def read(self, place: str, _unwrap: Callable[[str], bytes], *, expected: bool) -> bytes | None:  # noqa: ARG002
        """See `WrappedKeys.read`."""
        data = self._objects.get(place)
        return None if data is None else self._transit.peek(unpacked(place, data), place)

    def put_if_absent(self, _place: str, _wrapped: str) -> bool:
        """Nobody writes from outside."""
        raise AssertionError("nobody writes from outside")
