"""What took effect at a collection, in that order: the log of the one engine tells, or the other's transactions.

Those are of all regions: of what several wrote under one key the later stays.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from anfl.vectors.dynamodb import items
from anfl.vectors.log import Log
from anfl.vectors.model import Collection, Metadata
from anfl.vectors.sealing import Unsealed
from tests.fault.simulation.bucket import Bucket
from tests.fault.simulation.class_table import Entry

Row = tuple[bytes, Metadata, float | None]


@dataclass(kw_only=True)
class Effect:
    """One thing that took effect: rows as they are then (None: gone), and the requests that it carried out."""

    rows: Mapping[str, Row | None] = field(default_factory=dict)
    requests: tuple[str, ...] = ()
    opens: bool = False
    """Whether from then on everybody may write."""
    moment: float = 0.0


def logged(bucket: Bucket, collection: Collection) -> Iterator[Effect]:
    """Those of the engine ``hnsw``."""
    log = Log(bucket, collection, envelope=Unsealed().of(collection), readers=1)
    present: dict[str, Row] = {}
    for batch in log.tail(0):
        rows: dict[str, Row | None] = {row.id: (row.values, row.metadata, row.expires_at) for row in batch.rows}
        for patch in batch.patches:
            values, _, expires_at = present[patch.id]
            rows[patch.id] = (values, patch.metadata, expires_at)
        rows |= dict.fromkeys(batch.deleted)
        _apply(present, rows)
        opens = collection.filling is not None and batch.revision == collection.revision
        yield Effect(
            rows=rows, requests=tuple(each.request_id for each in batch.requests), opens=opens, moment=batch.ts
        )


def transacted(journal: Iterable[Entry], collection: Collection) -> Iterator[Effect]:
    """Those of the engine ``dynamodb``."""
    prefix = f"{items.hash_of(collection)}#"
    filling = collection.filling
    for moment, writes in journal:
        rows: dict[str, Row | None] = {}
        requests: list[str] = []
        opens = False
        for each in writes:
            ((kind, write),) = each.items()
            key = write.get("Item") or write["Key"]
            partition, name = key[items.PARTITION]["S"], key[items.SORT]["S"]
            part = partition.removeprefix(prefix)
            if part == partition:
                continue
            if part == "requests":
                # What the move takes for carried out comes without a condition, perhaps late, and changes nothing.
                requests += [name] if "ConditionExpression" in write else []
            elif kind == "ConditionCheck":
                continue
            elif part.startswith("round"):
                opens = filling is not None and kind == "Put" and key["number"]["N"] == str(filling.round)
            elif part.startswith("revision"):
                continue
            elif kind == "Put":
                row = items.decode(key)
                rows[row.id] = (row.values.astype("<f4").tobytes(), row.metadata, row.expires_at)
            else:
                rows[name] = None
        if rows or requests or opens:
            yield Effect(rows=rows, requests=tuple(requests), opens=opens, moment=moment)


def replayed(effects: Iterable[Effect]) -> dict[str, Row]:
    """The rows that they come to."""
    present: dict[str, Row] = {}
    for effect in effects:
        _apply(present, effect.rows)
    return present


def _apply(present: dict[str, Row], rows: Mapping[str, Row | None]) -> None:
    for row_id, row in rows.items():
        if row is None:
            present.pop(row_id, None)
        else:
            present[row_id] = row
