"""What the engine ``dynamodb`` cannot do, once: validation, OpenAPI and docs/engines.md read it.

Each is refused with 400 ``not_supported_by_engine``, which says what to do instead. None of it is emulated: an answer
that took a scan of a large table would be no answer.
"""

from dataclasses import dataclass
from enum import Enum

from anfl.problems import Problem, invalid
from anfl.vectors.refusals import Refusal

NAME = "dynamodb"
MOST_MATCHES = 100
"""``TopK`` of ``SearchVectors``. Who asks by a row gets that one, too, and leaves it out."""
MOST_SEARCHES = 8
"""That one query with ``$in`` and ``$or`` is answered from."""
MOST_ON_THE_WAY = 64
"""Of a part of such a filter; the whole may contradict most of them."""
_KEEPING = ("create_snapshot", "list_snapshots", "delete_snapshot", "restore")


@dataclass(frozen=True)
class Limit:
    """What is asked for, what does instead, and the operations by which it is asked for."""

    what: str
    instead: str
    operations: tuple[str, ...]
    whole: bool = False
    """Whether nothing is left of these operations."""


class Capability(Enum):
    """What this engine lacks."""

    MANY_MATCHES = Limit(
        f"`k` above {MOST_MATCHES} (by `id`, {MOST_MATCHES - 1})",
        f"ask for {MOST_MATCHES} at most (by id, {MOST_MATCHES - 1}), or narrow the filter",
        ("query",),
    )
    FRESH_QUERY = Limit(
        "queries with `consistency` strong",
        "fetch by id, which is always strong here, or leave `consistency` out",
        ("query",),
    )
    EF = Limit("`ef`", "leave it out: the index has no such parameter", ("query",))
    OTHER_CONDITIONS = Limit(
        "conditions other than `$eq` and `$in` of texts, numbers and booleans, `$and` and `$or` in queries",
        "use the engine hnsw, or scroll with this filter, which takes all of them",
        ("query",),
    )
    MANY_SEARCHES = Limit(
        f"filters of queries that come to more than {MOST_SEARCHES} combinations (a part of them: {MOST_ON_THE_WAY})",
        "ask several times",
        ("query",),
    )
    UNDECLARED_FIELDS = Limit(
        "filters of queries on fields that are not declared",
        "declare the field when you create the collection",
        ("query",),
    )
    LIST_FIELDS = Limit(
        "declared fields of type `string[]`",
        "leave the declaration out; scroll can filter by it",
        ("create_collection", "move_collection"),
    )
    EXTREME_NUMBERS = Limit(
        "declared numbers beyond 1e125, or nearer to 0 than 1e-129",
        "leave the declaration out; scroll can filter by it",
        ("upsert", "patch"),
    )
    INDEX = Limit(
        "parameters of the `index`",
        "leave them out: this index has none",
        ("create_collection", "update_collection"),
    )
    NEW_FIELDS = Limit(
        "changes of `fields`", "create a collection with these fields, and move the rows", ("update_collection",)
    )
    SNAPSHOTS = Limit(
        "named snapshots", "export the collection; its table has point-in-time recovery", _KEEPING, whole=True
    )
    DIRECT_DELETION = Limit(
        "deletions by filter in direct events", "ask the API, which answers with a job", ("delete",)
    )


def refuse(capability: Capability, *, field: str | None = None) -> Problem:
    """The problem with asking for it."""
    limit: Limit = capability.value
    detail = f"The engine {NAME} does not offer {limit.what}: {limit.instead}.".replace("`", "")
    return invalid(detail, field=field, code=Refusal.NOT_SUPPORTED_BY_ENGINE)


REFUSING = frozenset(name for each in Capability for name in each.value.operations)
"""Operations of which something is refused."""
