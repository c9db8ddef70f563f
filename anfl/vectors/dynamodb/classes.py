"""Classes: what operators have made room for.

A vector index has one dimension, one metric and a fixed set of filters, and a table at most five of them. So each class
is a table, and a collection is put into one. Filter slots are attributes of the items, ``s1`` … for texts and ``n1`` …
for numbers and booleans, since their names and types are fixed as well. A collection's declared fields take them in the
order of their names.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from anfl.environment import MissingSettingError, parse
from anfl.problems import Problem, invalid
from anfl.resources import vector_slots
from anfl.vectors.dynamodb.capabilities import Capability, refuse
from anfl.vectors.model import MAX_DIMENSION, CollectionSettings, FieldType, IndexSettings, Metric
from anfl.vectors.refusals import Refusal

MOST_SLOTS = 18
"""Inline filters of an index."""
_PREFIXES = {FieldType.STRING: "s", FieldType.NUMBER: "n", FieldType.BOOLEAN: "n"}


class EngineClass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table with one vector index, and how many slots of each type that has."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    dimension: Annotated[int, msgspec.Meta(ge=1, le=MAX_DIMENSION)]
    metric: Metric
    strings: Annotated[int, msgspec.Meta(ge=0, le=MOST_SLOTS)] = 0
    numbers: Annotated[int, msgspec.Meta(ge=0, le=MOST_SLOTS)] = 0

    def __post_init__(self) -> None:
        """Refuse more than an index has.

        :raises ValueError: as msgspec asks for it.
        """
        if self.strings + self.numbers > MOST_SLOTS:
            raise ValueError(f"{self.name} has {self.strings + self.numbers} slots; there are {MOST_SLOTS}")

    @property
    def slots(self) -> tuple[str, ...]:
        """The attributes that a search can name."""
        return tuple(vector_slots(strings=self.strings, numbers=self.numbers))

    def __str__(self) -> str:
        """For those who look for one."""
        return f"{self.name} ({self.dimension}, {self.metric}, {self.strings} strings, {self.numbers} numbers)"


def read_classes(text: str) -> tuple[EngineClass, ...]:
    """The classes of the variable ``ENGINE_CLASSES``.

    :raises MissingSettingError: it is no list of classes with names of their own.
    """
    classes = parse("ENGINE_CLASSES", text or "[]", tuple[EngineClass, ...])
    if len({each.name for each in classes}) < len(classes):
        raise MissingSettingError("ENGINE_CLASSES: two classes have one name")
    return classes


def slots_of(fields: Mapping[str, FieldType]) -> dict[str, str]:
    """The slot of each declared field.

    :raises Problem: 400 ``not_supported_by_engine`` for a type that no slot holds.
    """
    taken = {"s": 0, "n": 0}
    found: dict[str, str] = {}
    for name in sorted(fields):
        prefix = _PREFIXES.get(fields[name])
        if prefix is None:
            raise refuse(Capability.LIST_FIELDS, field=f"fields.{name}")
        taken[prefix] += 1
        found[name] = f"{prefix}{taken[prefix]}"
    return found


def choose(classes: Sequence[EngineClass], settings: CollectionSettings) -> EngineClass:
    """The class with the fewest slots that has room for a collection.

    :raises Problem: 400 ``not_supported_by_engine``, ``no_engine_class`` naming those there are.
    """
    if settings.index != IndexSettings():
        raise refuse(Capability.INDEX, field="index")
    needed = set(slots_of(settings.fields).values())
    fitting = [
        each
        for each in classes
        if (each.dimension, each.metric) == (settings.dimension, settings.metric) and needed <= set(each.slots)
    ]
    if not fitting:
        raise _none(classes, settings)
    return min(fitting, key=lambda each: (len(each.slots), each.name))


def _none(classes: Sequence[EngineClass], settings: CollectionSettings) -> Problem:
    there = "; ".join(map(str, classes)) or "none"
    wanted = f"dimension {settings.dimension}, {settings.metric} and {len(settings.fields)} fields"
    return invalid(f"No class has {wanted}. There are: {there}.", field="engine", code=Refusal.NO_ENGINE_CLASS)
