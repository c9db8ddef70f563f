"""What took effect at a collection, in that order: the log of the one engine tells, or the other's transactions.

Those are of all regions: of what several wrote under one key the later stays.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from anfl.vectors.dynamodb import deletions, items, requests
from anfl.vectors.log import Log
from anfl.vectors.model import Collection, Metadata
from anfl.vectors.sealing import Unsealed
from tests.fault.simulation.bucket import Bucket
from tests.fault.simulation.carried import Carried
from tests.fault.simulation.class_table import Entry

Row = tuple[bytes, Metadata, float | None]


@dataclass(kw_only=True)
class Effect:
    """One thing that took effect: rows as they are then (None: gone), and the requests that it carried out."""

    rows: Mapping[str, Row | None] = field(default_factory=dict)
    requests: tuple[Carried, ...] = ()
    deletion: deletions.Record | None = None
    """The one by filter that it is a step of."""
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
        apply(present, rows)
        opens = collection.filling is not None and batch.revision == collection.revision
        carried = tuple(Carried(request_id=each.request_id) for each in batch.requests)
        yield Effect(rows=rows, requests=carried, opens=opens, moment=batch.ts)


def transacted(journal: Iterable[Entry], collection: Collection) -> Iterator[Effect]:
    """Those of the engine ``dynamodb``."""
    prefix = f"{items.hash_of(collection)}#"
    filling = collection.filling
    for moment, writes in journal:
        rows: dict[str, Row | None] = {}
        carried: list[Carried] = []
        deletion: deletions.Record | None = None
        opens = False
        for each in writes:
            ((kind, write),) = each.items()
            key = write.get("Item") or write["Key"]
            partition, name = key[items.PARTITION]["S"], key[items.SORT]["S"]
            part = partition.removeprefix(prefix)
            if part == partition:
                continue
            if part in {"requests", "parts"}:
                # What the move takes for carried out comes without a condition, perhaps late, and changes nothing.
                carried += [_carried(part, key)] if "ConditionExpression" in write else []
            elif part == "deletions":
                deletion = msgspec.msgpack.decode(key[deletions._RECORD]["B"], type=deletions.Record)
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
        if rows or carried or opens:
            yield Effect(rows=rows, requests=tuple(carried), deletion=deletion, opens=opens, moment=moment)


def _carried(partition: str, item: Mapping[str, Any]) -> Carried:
    """What a mark says was carried out."""
    name, parts = item[items.SORT]["S"], requests._decode(item).parts or 1
    if partition == "parts":
        request_id, _, number = name.rpartition("/")
        return Carried(request_id=request_id, part=int(number), of=parts)
    return Carried(request_id=name, of=parts)


def replayed(effects: Iterable[Effect]) -> dict[str, Row]:
    """The rows that they come to."""
    present: dict[str, Row] = {}
    for effect in effects:
        apply(present, effect.rows)
    return present


def apply(present: dict[str, Row], rows: Mapping[str, Row | None]) -> None:
    """Change ``present`` as they say."""
    for row_id, row in rows.items():
        if row is None:
            present.pop(row_id, None)
        else:
            present[row_id] = row
