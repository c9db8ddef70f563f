"""Whether a move has kept what it promises."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from anfl.vectors.filters import compile_filter
from anfl.vectors.model import Collection
from anfl.vectors.requests import Scroll
from tests.fault.oracle import expect
from tests.fault.simulation.callers import ALIAS, NAME, TENANT
from tests.fault.simulation.carried import check_once
from tests.fault.simulation.effects import Effect, Row, apply, logged, replayed, transacted

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
            found = [
                (effect.moment, each)
                for effect in carried_out
                for each in effect.requests
                if each.request_id == request_id
            ]
            check_once(found, self._round.sent[request_id])
        for effect in after[opening:]:
            asked = bool(effect.requests) or effect.deletion is not None
            expect(not effect.rows or asked, f"nobody asked for {effect.rows}")
        if not self._round.is_far:  # else what one region sees of it is not what another one does
            for side in (before, after):
                self._check_deletions(side)
        shown_rows = self._round.store("judge", target.home or "").scroll(
            TENANT, ALIAS, Scroll(limit=100, consistency="strong")
        )
        shown = {row.id for row in shown_rows.vectors}
        alive = self._alive(after, self._round.world.seconds).keys()
        gone = shown - replayed(after).keys()
        expect(alive <= shown and not gone, f"{shown} are there, and not {alive}")

    def _check_deletions(self, effects: Iterable[Effect]) -> None:
        """Each has deleted what matched, and all of what matched and did not change meanwhile."""
        present: dict[str, Row] = {}
        changed: dict[str, float] = {}
        begun: dict[str, float] = {}
        for effect in effects:
            deletion = effect.deletion
            if deletion is not None and deletion.request_id is not None:
                wanted = compile_filter(deletion.filter)
                since = begun.setdefault(deletion.request_id, effect.moment)
                for row_id in effect.rows:
                    matches = row_id in present and wanted(present[row_id][1])
                    expect(matches, f"{row_id} did not match {deletion.filter}")
                if deletion.done:
                    left = {row_id for row_id, row in present.items() if wanted(row[1]) and changed[row_id] < since}
                    alive = {row_id for row_id in left if present[row_id][2] is None}
                    expect(alive <= effect.rows.keys(), f"{alive} match {deletion.filter}")
            apply(present, effect.rows)
            changed |= dict.fromkeys(effect.rows, effect.moment)

    def _alive(self, effects: Iterable[Effect], now: float) -> dict[str, Row]:
        """Rows that have not expired, nor may have by the clock of somebody."""
        late = now + 2 * self._round.plan.skew
        return {row_id: row for row_id, row in replayed(effects).items() if row[2] is None or row[2] > late}

    def _effects(self, collection: Collection) -> Iterator[Effect]:
        if collection.settings.engine == "dynamodb":
            return transacted(self._round.regions[self._round.home].classes.journal, collection)
        return logged(self._round.bucket, collection)
