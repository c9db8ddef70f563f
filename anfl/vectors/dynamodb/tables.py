"""The classes that there are, each with what is done with its table."""

from collections.abc import Mapping
from dataclasses import dataclass

from anfl.problems import unavailable
from anfl.vectors.dynamodb.changing import Changing
from anfl.vectors.dynamodb.classes import EngineClass
from anfl.vectors.dynamodb.deletions import Deletions
from anfl.vectors.dynamodb.moves import Moves
from anfl.vectors.dynamodb.reading import Reader
from anfl.vectors.dynamodb.writing import Rows
from anfl.vectors.model import Collection
from anfl.vectors.refusals import Refusal


@dataclass(frozen=True, kw_only=True)
class Class:
    """A class's table, and what is done with it."""

    made: EngineClass
    rows: Rows
    changing: Changing
    reader: Reader
    deletions: Deletions
    moves: Moves


class Classes:
    """By their names; there may be none."""

    def __init__(self, classes: Mapping[str, Class]) -> None:
        self._classes = classes

    @property
    def made(self) -> list[EngineClass]:
        """What operators have made room for."""
        return [each.made for each in self._classes.values()]

    def of(self, collection: Collection) -> Class:
        """The one that a collection was put into.

        :raises Problem: 503 ``storage_unavailable``, it is not there.
        """
        found = self._classes.get(collection.engine_class or "")
        if found is None:
            detail = f"The class {collection.engine_class} of {collection.name} is not there."
            raise unavailable(detail, code=Refusal.STORAGE_UNAVAILABLE)
        return found
