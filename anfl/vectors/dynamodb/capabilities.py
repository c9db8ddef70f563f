"""What the engine ``dynamodb`` cannot do, once: validation, OpenAPI and docs/engines.md read it.

Each is refused with 400 ``not_supported_by_engine``, which says what to do instead. None of it is emulated: an answer
that took a scan of a large table would be no answer.
"""

from dataclasses import dataclass
from enum import Enum

from anfl.problems import Problem, invalid

CODE = "not_supported_by_engine"
MOST_MATCHES = 100
"""``TopK`` of ``SearchVectors``."""
MOST_SEARCHES = 8
"""That one query with ``$in`` and ``$or`` is answered from."""


@dataclass(frozen=True)
class Limit:
    """What is asked for, and what does instead."""

    what: str
    instead: str


class Capability(Enum):
    """What this engine lacks."""

    MANY_MATCHES = Limit(f"k above {MOST_MATCHES}", f"ask for {MOST_MATCHES} at most, or narrow the filter")
    FRESH_QUERY = Limit(
        "queries with consistency strong", "fetch by id, which is always strong here, or leave consistency out"
    )
    POSITIONS = Limit("min_sequence", "leave it out: this engine has no positions")
    EF = Limit("ef", "leave it out: the index has no such parameter")
    OTHER_CONDITIONS = Limit(
        "conditions other than $eq, $in, $and and $or in queries",
        "use the engine hnsw, or scroll with this filter, which takes all of them",
    )
    MANY_SEARCHES = Limit(f"filters that come to more than {MOST_SEARCHES} combinations", "ask several times")
    UNDECLARED_FIELDS = Limit(
        "filters of queries on fields that are not declared", "declare the field when you create the collection"
    )
    LIST_FIELDS = Limit("declared fields of type string[]", "leave the declaration out; scroll can filter by it")
    NEW_FIELDS = Limit("changes of fields", "create a collection with these fields, and move the rows")
    EF_SEARCH = Limit("changes of the index", "leave it out: the index has no such parameter")
    DELETE_BY_FILTER = Limit("deleting by filter", "scroll with the filter, and delete the ids")
    SNAPSHOTS = Limit("named snapshots", "export the collection; its table has point-in-time recovery")


def refuse(capability: Capability, *, field: str | None = None) -> Problem:
    """The problem with asking for it."""
    limit: Limit = capability.value
    return invalid(f"The engine dynamodb does not offer {limit.what}: {limit.instead}.", field=field, code=CODE)
