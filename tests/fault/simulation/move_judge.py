"""Whether a move has kept what it promises."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

from anfl.vectors.model import Collection
from anfl.vectors.requests import Scroll
from anfl.vectors.state import REQUEST_SECONDS
from tests.fault.oracle import expect
from tests.fault.simulation.callers import ALIAS, NAME, TENANT
from tests.fault.simulation.effects import Effect, Row, logged, replayed, transacted

if TYPE_CHECKING:
    from tests.fault.simulation.moving import MoveRound


class MoveJudge:
    """Compares what callers were told with what took effect on both sides, once nothing goes wrong any more."""

    def __init__(self, round_: "MoveRound") -> None:
        self._round = round_

    def judge(self) -> None:
        """:raises DivergenceError: something that was acknowledged is lost, or came twice."""
        catalogue = self._round.regions[self._round.home].catalogue
        source, target = catalogue.find(TENANT, NAME), catalogue.get(TENANT, ALIAS)
        expect(target.settings.engine == self._round.engines[1], "the alias has not moved")
        expect(source.moving is not None and source.moving.incarnation == target.incarnation, "to another one")
        before, after = list(self._effects(source)), list(self._effects(target))
        opening = next(number for number, effect in enumerate(after) if effect.opens)
        at_the_end = self._alive(before, after[opening].moment)
        copied = self._alive(after[:opening], after[opening].moment)
        expect(copied == at_the_end, f"when it opened it had {copied}, and not {at_the_end}")
        carried_out = [effect for effect in before + after[opening:] if effect.requests]
        for request_id in self._round.acknowledged:
            moments = [effect.moment for effect in carried_out if request_id in effect.requests]
            told = f"{request_id} was carried out at {moments}, and sent at {self._round.sent[request_id]}"
            expect(bool(moments), told)
            spells = list(_spells(self._round.sent[request_id]))
            for begins, ends in pairwise([*spells, inf]):
                within = [moment for moment in moments if begins <= moment < ends]
                # What a process has received before it slept for days, it carries out when the mark is forgotten.
                expect(all(later - earlier > REQUEST_SECONDS for earlier, later in pairwise(within)), told)
        for effect in after[opening:]:
            expect(not effect.rows or bool(effect.requests), f"nobody asked for {effect.rows}")
        found = self._round.store("judge", target.home or "").scroll(
            TENANT, ALIAS, Scroll(limit=100, consistency="strong")
        )
        shown = {row.id for row in found.vectors}
        alive = self._alive(after, self._round.world.seconds).keys()
        gone = shown - replayed(after).keys()
        expect(alive <= shown and not gone, f"{shown} are there, and not {alive}")

    def _alive(self, effects: Iterable[Effect], now: float) -> dict[str, Row]:
        """Rows that have not expired, nor may have by the clock of somebody."""
        late = now + 2 * self._round.plan.skew
        return {row_id: row for row_id, row in replayed(effects).items() if row[2] is None or row[2] > late}

    def _effects(self, collection: Collection) -> Iterator[Effect]:
        if collection.settings.engine == "dynamodb":
            return transacted(self._round.regions[self._round.home].classes.journal, collection)
        return logged(self._round.bucket, collection)


def _spells(sent: list[float]) -> Iterator[float]:
    """When those times of 24 hours begin in each of which a request is carried out once, however often it is sent."""
    begun = -inf
    for moment in sent:
        if moment > begun + REQUEST_SECONDS:
            begun = moment
            yield begun
