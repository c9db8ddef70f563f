"""Request ids, as items beside the rows: written in the transaction that they name, so that it is carried out once.

``pk = {tenant}#{incarnation}#requests``, ``sk`` the id: of a request as a whole, or of the first part of one that goes
in parts, which says what the *whole* asks for and how many parts it has. So one id is of one request, whichever way it
goes. The further parts: ``pk = {tenant}#{incarnation}#parts``, ``sk = {id}/{number}``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from anfl.problems import Problem, conflict
from anfl.vectors.batch import AppliedRequest
from anfl.vectors.dynamodb.items import EXPIRES_AT, PARTITION, SORT, TTL, parts_of, requests_of
from anfl.vectors.dynamodb.table import Table
from anfl.vectors.engines import RequestPage
from anfl.vectors.model import Collection
from anfl.vectors.refusals import Refusal
from anfl.vectors.request_ids import REQUEST_SECONDS

_DIGEST, _WHOLE, _PARTS, _COUNT = "digest", "whole", "parts", "count"


@dataclass(frozen=True, kw_only=True)
class Part:
    """Which one of a request that goes in parts."""

    whole: bytes
    """The digest of all that the request asks for."""
    number: int
    of: int


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Tells a request, or a part of one, from others."""

    id: str
    """The request's."""
    digest: bytes
    """Of what it, or the part, asks for."""
    part: Part | None = None
    """None: it goes as a whole."""
    until: float | None = None
    """When it is to be forgotten, in seconds since the epoch; None: 24 hours after it was carried out."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What was carried out: so many rows were changed."""

    count: int
    until: float = 0.0
    """When its mark is forgotten, in seconds since the epoch; 0: it has none."""


@dataclass(frozen=True, kw_only=True)
class _Known:
    """A mark that stands in the table."""

    id: str
    digest: bytes
    whole: bytes | None
    parts: int
    """Of the request; 0: it goes as a whole."""
    done: Done

    def check(self, mark: Mark) -> Done:
        """What came of it, if it is of the same request as ``mark``."""
        if (self.digest, self.whole) != (mark.digest, None if mark.part is None else mark.part.whole):
            raise _reused()
        return self.done


class Requests:
    """Those of the last 24 hours."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def find(self, collection: Collection, mark: Mark, now: float) -> Done | None:
        """What was carried out under ``mark``; newer than anything acknowledged.

        :raises Problem: 409 ``request_id_reused``, it was something else.
        """
        known = self._standing(collection, mark, now)
        return None if known is None else known.check(mark)

    def find_whole(self, collection: Collection, mark: Mark, now: float) -> Done | None:
        """What was carried out under ``mark`` at once, by another engine perhaps, although it goes in parts here.

        :raises Problem: 409 ``request_id_reused``, what was carried out, or begun, was something else.
        """
        known = self._standing(collection, mark, now)
        if known is None or known.whole == mark.digest:
            return None
        return known.check(mark)

    def page(self, collection: Collection, after: str, now: float, *, most: int) -> RequestPage:
        """Up to ``most`` of those behind the id ``after``, by id. Those in parts are told once all of them are done."""
        found = self._table.partition(requests_of(collection), _decode, after=after, limit=most)
        alive = (known for known in found if known.done.until > now)
        known = list(islice(alive, most))
        counts = self._counts(collection, known, now)
        done = [
            AppliedRequest(request_id=each.id, digest=each.whole or each.digest, count=counts[each.id])
            for each in known
            if each.id in counts
        ]
        return RequestPage(requests=done, cursor=known[-1].id if known else after, more=len(known) == most)

    def remember(self, collection: Collection, requests: Iterable[AppliedRequest], now: float) -> None:
        """Note requests that another collection has carried out."""
        distinct = {each.request_id: each for each in requests}
        self._table.write(
            {"PutRequest": {"Item": _item(collection, Mark(id=each.request_id, digest=each.digest), each.count, now)}}
            for each in distinct.values()
        )

    def mark(self, collection: Collection, mark: Mark, count: int, now: float) -> tuple[dict[str, Any], Done]:
        """The write that notes it, in the transaction that carries it out; its condition: nobody has done so."""
        item = _item(collection, mark, count, now)
        write = {
            "Put": {
                "Item": item,
                "ConditionExpression": "attribute_not_exists(#p) OR #e <= :now",
                "ExpressionAttributeNames": {"#p": PARTITION, "#e": EXPIRES_AT},
                "ExpressionAttributeValues": {":now": {"N": repr(now)}},
            }
        }
        return write, _decode(item).done

    def _counts(self, collection: Collection, known: Sequence[_Known], now: float) -> dict[str, int]:
        """By id, how many rows those have changed that are done as a whole."""
        keys = [_key_of_part(collection, each.id, number) for each in known for number in range(1, each.parts)]
        there = {each.id: each.done.count for each in self._known(keys, now)}
        counts: dict[str, int] = {}
        for each in known:
            further = [there.get(_name(each.id, number)) for number in range(1, each.parts)]
            if None not in further:
                counts[each.id] = each.done.count + sum(filter(None, further))
        return counts

    def _standing(self, collection: Collection, mark: Mark, now: float) -> _Known | None:
        """What stands in the place of ``mark``."""
        return next(iter(self._known([_key(collection, mark)], now)), None)

    def _known(self, keys: Sequence[Mapping[str, Any]], now: float) -> list[_Known]:
        """Those of ``keys``, of one partition, that are not to be forgotten by now."""
        return [known for known in map(_decode, self._table.get(keys).values()) if known.done.until > now]


def part_marks(whole: Mark, digests: Sequence[bytes]) -> list[Mark]:
    """Of the parts of what ``whole`` marks."""
    return [
        replace(whole, digest=digest, part=Part(whole=whole.digest, number=number, of=len(digests)))
        for number, digest in enumerate(digests)
    ]


def _reused() -> Problem:
    return conflict("This request_id was used for another request.", code=Refusal.REQUEST_ID_REUSED)


def _item(collection: Collection, mark: Mark, count: int, now: float) -> dict[str, Any]:
    until = now + REQUEST_SECONDS if mark.until is None else mark.until
    item = {
        **_key(collection, mark),
        _DIGEST: {"B": mark.digest},
        _COUNT: {"N": str(count)},
        EXPIRES_AT: {"N": repr(until)},
        TTL: {"N": str(int(until) + 1)},
    }
    if mark.part is not None:
        item[_WHOLE] = {"B": mark.part.whole}
        item[_PARTS] = {"N": str(mark.part.of)}
    return item


def _decode(item: Mapping[str, Any]) -> _Known:
    return _Known(
        id=item[SORT]["S"],
        digest=item[_DIGEST]["B"],
        whole=item[_WHOLE]["B"] if _WHOLE in item else None,
        parts=int(item[_PARTS]["N"]) if _PARTS in item else 0,
        done=Done(count=int(item[_COUNT]["N"]), until=float(item[EXPIRES_AT]["N"])),
    )


def _key(collection: Collection, mark: Mark) -> dict[str, Any]:
    if mark.part is not None and mark.part.number > 0:
        return _key_of_part(collection, mark.id, mark.part.number)
    return {PARTITION: {"S": requests_of(collection)}, SORT: {"S": mark.id}}


def _key_of_part(collection: Collection, request_id: str, number: int) -> dict[str, Any]:
    return {PARTITION: {"S": parts_of(collection)}, SORT: {"S": _name(request_id, number)}}


def _name(request_id: str, number: int) -> str:
    return f"{request_id}/{number}"
