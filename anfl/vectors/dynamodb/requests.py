"""Request ids, as items beside the rows: written in the transaction that they name, so that it is carried out once.

``pk = {tenant}#{incarnation}#requests``, ``sk`` the id, or ``{id}/{number}`` of each part of what goes in parts. Those
say what the *whole* asks for as well; a release before this one did not note that.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from anfl.problems import Problem, conflict
from anfl.vectors.batch import AppliedRequest
from anfl.vectors.dynamodb.items import EXPIRES_AT, PARTITION, SORT, TTL, requests_of
from anfl.vectors.dynamodb.table import Table
from anfl.vectors.model import Collection
from anfl.vectors.refusals import Refusal
from anfl.vectors.state import REQUEST_SECONDS

_DIGEST, _WHOLE, _COUNT = "digest", "whole", "count"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Tells a request, or a part of one, from others."""

    id: str
    digest: bytes
    """Of what it asks for."""
    whole: bytes | None = None
    """Of what the request asks for that it is a part of; None: it is none."""
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

    digest: bytes
    whole: bytes | None
    done: Done

    def check(self, mark: Mark) -> Done:
        """What came of it, if it is of the same request as ``mark``."""
        if self.digest != mark.digest or self.whole not in (None, mark.whole):
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
        first = _part(mark.id, 0)
        known = self._known(collection, [mark.id, first] if mark.whole is None else [mark.id], now)
        if mark.id in known:
            return known[mark.id].check(mark)
        if first in known and known[first].whole is not None:  # it went in parts
            raise _reused()
        return None

    def find_parts(self, collection: Collection, whole: Mark, marks: Sequence[Mark], now: float) -> Done | None:
        """What was carried out under ``whole`` at once, by another engine perhaps; nothing is known then of parts.

        :param marks: its parts', all of them.
        :raises Problem: 409 ``request_id_reused``: it, or a part, was something else.
        """
        known = self._known(collection, [whole.id, *(mark.id for mark in marks)], now)
        for mark in marks:
            if mark.id in known:
                known[mark.id].check(mark)
        return known[whole.id].check(whole) if whole.id in known else None

    def page(self, collection: Collection, after: str, now: float, *, most: int) -> list[AppliedRequest]:
        """Up to ``most`` of those behind the id ``after``, by id."""
        items = self._table.partition(requests_of(collection), after=after, limit=most)
        # (not parts, which other engines do not know)
        alive = (item for item in items if float(item[EXPIRES_AT]["N"]) > now and _WHOLE not in item)
        return [
            AppliedRequest(request_id=item[SORT]["S"], digest=item[_DIGEST]["B"], count=int(item[_COUNT]["N"]))
            for item in islice(alive, most)
        ]

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

    def _known(self, collection: Collection, ids: Sequence[str], now: float) -> dict[str, _Known]:
        found = self._table.get([_key(collection, each) for each in ids])
        known = {each: _decode(item) for each, item in found.items()}
        return {each: one for each, one in known.items() if one.done.until > now}


def part_marks(whole: Mark, digests: Iterable[bytes]) -> list[Mark]:
    """Of the parts of what ``whole`` marks."""
    return [
        Mark(id=_part(whole.id, number), digest=digest, whole=whole.digest) for number, digest in enumerate(digests)
    ]


def _part(request_id: str, number: int) -> str:
    return f"{request_id}/{number}"


def _reused() -> Problem:
    return conflict("This request_id was used for another request.", code=Refusal.REQUEST_ID_REUSED)


def _item(collection: Collection, mark: Mark, count: int, now: float) -> dict[str, Any]:
    until = now + REQUEST_SECONDS if mark.until is None else mark.until
    return {
        **_key(collection, mark.id),
        _DIGEST: {"B": mark.digest},
        **({} if mark.whole is None else {_WHOLE: {"B": mark.whole}}),
        _COUNT: {"N": str(count)},
        EXPIRES_AT: {"N": repr(until)},
        TTL: {"N": str(int(until) + 1)},
    }


def _decode(item: Mapping[str, Any]) -> _Known:
    return _Known(
        digest=item[_DIGEST]["B"],
        whole=item[_WHOLE]["B"] if _WHOLE in item else None,
        done=Done(count=int(item[_COUNT]["N"]), until=float(item[EXPIRES_AT]["N"])),
    )


def _key(collection: Collection, request_id: str) -> dict[str, Any]:
    return {PARTITION: {"S": requests_of(collection)}, SORT: {"S": request_id}}
