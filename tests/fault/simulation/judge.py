"""Whether a round has kept what the store promises."""

from pathlib import Path
from typing import TYPE_CHECKING

from anfl.problems import Problem
from anfl.vectors.janitor import Janitor
from anfl.vectors.replica import Replica
from anfl.vectors.requests import NewRow, Upsert
from anfl.vectors.rewrapping import Rewrapping
from anfl.vectors.writer import Writer
from tests.fault.oracle import Oracle, compare, compare_requests, content_of, decode_batch, expect
from tests.fault.simulation import typed

if TYPE_CHECKING:
    from tests.fault.simulation.round import Round


class Judge:
    """Compares what callers and the bucket say, once nothing goes wrong any more, with the model."""

    def __init__(self, round_: "Round", folder: Path) -> None:
        """:param folder: where nodes that begin now may have theirs."""
        self._round = round_
        self._folder = folder

    def judge(self) -> None:
        """:raises DivergenceError: a promise was broken."""
        round_ = self._round
        oracle = Oracle(round_.asked)
        prefix = f"{round_.collection.prefix}log/00000001/"
        bodies = {
            int(key.removeprefix(prefix)): body for key, body in round_.home.history.items() if key.startswith(prefix)
        }
        expect(sorted(bodies) == list(range(1, len(bodies) + 1)), f"slots {sorted(bodies)} have a gap")
        envelope = round_.envelope(round_.home.history)
        oracle.play(decode_batch(envelope.open(f"{prefix}{number:020d}", bodies[number])) for number in sorted(bodies))
        self._writes(oracle)
        self._reads(oracle)
        if round_.rewrapped:
            self._retire()
        self._catalogue(len(bodies))
        self._rest(oracle, bodies)

    def _retire(self) -> None:
        """Once nothing remains under earlier versions of the wrapping key, nobody needs these."""
        round_ = self._round
        found = Rewrapping(round_.home, round_.transit, round_.transit).turn()
        expect(not found.remaining and found.after is None, f"keys remain: {found}")
        if not found.damaged and round_.far is None:
            for version in range(1, found.active):
                round_.transit.forget(version)

    def _catalogue(self, written: int) -> None:
        """Nobody has touched what the catalogue says, and hints say no more than is true."""
        expect(
            self._round.registered(self._round.collection.name) == self._round.collection,
            "the catalogue has lost the collection",
        )
        storage = self._round.begun(self._round.storage(self._folder / "judge"))
        expect(storage.hints.last(self._round.collection) <= written, "a hint goes beyond the log")
        if self._round.owner is not None:
            self._round.owner.judge(self._round.store(storage), Janitor(storage, self._round.catalogue))
        if self._round.typed:
            typed.judge(self._round.store(storage))

    def _writes(self, oracle: Oracle) -> None:
        for each in self._round.acknowledged:
            expect(each.request_id in oracle.applied, f"{each.request_id} was acknowledged and is not in the log")
            answers = oracle.applied[each.request_id]
            expect((each.position.sequence, each.count) in answers, f"{each} is not in {answers}")
        for request_id in self._round.refused:
            expect(request_id not in oracle.applied, f"{request_id} was refused and is in the log")
        firsts = sorted((each for each in self._round.acknowledged if each.first), key=lambda each: each.answered)
        highest = 0
        waiting = sorted(firsts, key=lambda each: each.asked)
        for each in waiting:
            while firsts and firsts[0].answered < each.asked:
                highest = max(highest, firsts.pop(0).position.sequence)
            expect(each.position.sequence >= highest, f"{each} came before what was acknowledged earlier")

    def _reads(self, oracle: Oracle) -> None:
        last: dict[int, int] = {}
        for each in self._round.seen:
            sequence = each.position.sequence
            where = f"{each.kind} read of {each.process} at {sequence}"
            expect(sequence < len(oracle.states), f"{where}: there is no such position")
            expect(sequence >= each.least, f"{where} had to see {each.least}")
            expect(sequence >= last.get(each.life, 0), f"{where} went back from {last.get(each.life)}")
            last[each.life] = sequence
            compare(each.content, oracle.states[sequence], each.now, where)

    def _last(self, number: int) -> Replica:
        """A node that comes now."""
        storage = self._round.begun(self._round.storage(self._folder / f"last{number}"))
        replica = storage.replica(self._round.collection)
        replica.load()
        return replica

    def _rest(self, oracle: Oracle, bodies: dict[int, bytes]) -> None:
        """A node that comes now finds everything, unless a part of the log is damaged beyond repair."""
        prefix = f"{self._round.collection.prefix}log/00000001/"
        replica = self._last(0)
        for number in range(1, len(bodies) + 2):
            if replica.trouble is None:
                break
            self._round.world.calm()  # what it has asked the other region for arrives; behind it there may be more
            replica = self._last(number)
        sequence = replica.view(lambda state: state.sequence)
        now = replica.view(lambda state: state.now())
        compare(replica.view(content_of), oracle.states[sequence], now, f"the last node at {sequence}")
        replica.view(lambda state: compare_requests(state, oracle, f"the last node at {sequence}"))
        if sequence == len(bodies):
            expect(replica.trouble is None, f"the last node has {replica.trouble}")
            return
        key = f"{prefix}{sequence + 1:020d}"
        expect(
            not self._round.home.recoverable(key, bodies[sequence + 1]),
            f"the last node stops at {sequence} for no reason",
        )
        expect(replica.trouble is not None, "the last node does not say that its log is damaged")
        try:
            Writer(replica).write(Upsert(vectors=[NewRow(id="late", values=[0.0, 0.0])]))
        except Problem as problem:
            expect(problem.code in {"log_corrupt", "log_gap"}, f"a damaged log answers {problem.code}")
        else:
            expect(False, "a damaged log was written to")
