"""Processes that take over each other's images, against a model: every row, its version included, and every request.

Contents are few on purpose: a row that is written again as it was, or patched to what it is, differs from before by its
version alone.
"""

import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from anfl.vectors import request_ids, request_runs
from anfl.vectors import state as state_module
from anfl.vectors.changes import Change, Draft, prepare, resolve
from anfl.vectors.engine import rows as engine
from anfl.vectors.engine import tiers
from anfl.vectors.engine.compaction import compact
from anfl.vectors.requests import DeleteRows, NewRow, PatchRow, PatchRows, Upsert
from anfl.vectors.state import State
from tests.fault import oracle
from tests.fault.oracle import Oracle, compare, compare_requests, content_of
from tests.unit.vectors.builders import collection

if TYPE_CHECKING:
    from anfl.vectors.batch import Batch
    from anfl.vectors.engine.images import Image
    from anfl.vectors.model import Metadata

PROCESSES = 3
IDS = st.lists(st.sampled_from([f"row{number}" for number in range(16)]), unique=True, min_size=1, max_size=6)
SOONER, LATER = 10.0, 30.0
"""Moments at which rows expire."""
DAY = 15.0
"""For which requests are remembered."""


def upserts(ids: list[str], n: int | None, expires: float | None) -> Change:
    metadata: Metadata = {} if n is None else {"n": n}
    return Upsert(vectors=[NewRow(id=each, values=[1.0, 1.0], metadata=metadata, expires_at=expires) for each in ids])


def patches(ids: list[str], n: int | None) -> Change:
    return PatchRows(vectors=[PatchRow(id=each, metadata={"n": n}) for each in ids])


NUMBERS = st.sampled_from([None, 1, 2])
CHANGES = st.one_of(
    st.builds(upserts, IDS, NUMBERS, st.sampled_from([None, None, 0.0, SOONER, LATER])),
    st.builds(patches, IDS, NUMBERS),
    st.builds(lambda ids: DeleteRows(ids=ids), IDS),
    st.builds(lambda most: DeleteRows(filter={"n": {"$lt": most}}), st.integers(1, 3)),
)


class AgainstTheLog(RuleBasedStateMachine):
    """Every process follows one log at a pace of its own, and makes and takes images as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp(prefix="anfl-test-"))
        self.now = 0.0
        self.requests: dict[str, Change] = {}
        self.log: list[Batch] = []
        self.oracle = Oracle(self.requests)
        self.writer = self.state()
        self.processes = [self.state() for _ in range(PROCESSES)]
        self.images: list[Image] = []

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def state(self) -> State:
        return State(collection(), clock=lambda: self.now)

    @rule(
        group=st.lists(CHANGES, min_size=1, max_size=4),
        seconds=st.sampled_from([0.0, 0.0, 1.0, 12.0]),
        again=st.booleans(),
    )
    def commit(self, group: list[Change], seconds: float, *, again: bool) -> None:
        """``again``: with ids that are forgotten, where there are such."""
        self.now += seconds
        draft = Draft(state=self.writer, now=self.writer.now())
        known = self.oracle.remembered(self.writer.sequence, draft.now)
        forgotten = iter(sorted(self.requests.keys() - known) if again else ())
        for change in group:
            named = msgspec.structs.replace(change, request_id=next(forgotten, f"request{len(self.requests)}"))
            self.requests[str(named.request_id)] = named
            resolve(draft, prepare(named, collection()))
        sequence = len(self.log) + 1
        self.log.append(draft.batch(batch_id=str(sequence), sequence=sequence))
        self.writer.apply(self.log[-1])
        self.oracle.play(self.log[-1:])

    @rule(process=st.integers(0, PROCESSES - 1), batches=st.integers(1, 4))
    def follow(self, process: int, batches: int) -> None:
        state = self.processes[process]
        for batch in self.log[state.sequence : state.sequence + batches]:
            state.apply(batch)

    @rule(process=st.integers(0, PROCESSES - 1))
    def build(self, process: int) -> None:
        """As `Builder` does: what is due goes into segments and runs, and the whole becomes an image."""
        state = self.processes[process]
        runs = state.requests.folded(self.folder, upto=state.sequence, ts=state.ts)
        assert runs is None or state.requests.take(runs, of=state.requests)
        while (built := compact(rows := state.rows.image(now=state.ts), self.folder, threads=1)) is not rows:
            assert state.rows.install(built)
        self.images.append(state.image())

    @rule(process=st.integers(0, PROCESSES - 1), which=st.integers(0, 3))
    def take_over(self, process: int, which: int) -> None:
        """As `Replica.install_newest` does, and images that are not the newest, too."""
        if which < len(self.images):
            image = self.images[-1 - which]
            state = self.processes[process]
            if not state.install(image):
                other = State.from_image(collection(), image, clock=lambda: self.now)
                if other.sequence >= state.sequence:
                    self.processes[process] = other

    @invariant()
    def agree(self) -> None:
        for number, state in enumerate([*self.processes, self.writer]):
            content = content_of(state)
            assert sorted(state.rows.ids()) == sorted(content)
            where = f"process {number} at {state.sequence}"
            compare(content, self.oracle.states[state.sequence], state.now(), where)
            compare_requests(state, self.oracle, where)


def test_rows_their_versions_and_requests_agree_with_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"GRAPH_FROM": 4, "FRESH_ROWS": 8, "SEGMENTS": 2, "GAIN": 4}.items():
        monkeypatch.setattr(tiers, name, value)
    monkeypatch.setattr(engine, "DEAD_ROWS", 2)
    monkeypatch.setattr(request_runs, "MOST_RECENT", 2)
    monkeypatch.setattr(request_runs, "GAIN", 1)
    for module in (request_ids, state_module, oracle):
        monkeypatch.setattr(module, "REQUEST_SECONDS", DAY)
    run_state_machine_as_test(AgainstTheLog, settings=settings(max_examples=200, stateful_step_count=40, deadline=None))
