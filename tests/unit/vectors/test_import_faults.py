"""Jobs that are cut short, delivered twice, or fail for good: every row is stored once, and the import tells."""

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from anfl.problems import Problem
from anfl.vectors.imports import cutting, storing
from anfl.vectors.imports.model import Chunk, Job, State
from anfl.vectors.requests import Fetch
from tests.unit.vectors.importing import MOST, Place, row, text_of
from tests.unit.vectors.test_store import WORDS, code_of

NAMES = ["a", "b", "c", "d", "e"]
TEXT = text_of(*map(row, NAMES), row("wrong", values=[1]))
"""Chunks of three rows, writes of two: a b, c, d e; and one row that is refused."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    monkeypatch.setattr(cutting, "CHUNK_ROWS", 3)
    monkeypatch.setattr(storing, "MAX_ROWS", 2)
    place.store.create("demo", WORDS)


class _CrashError(BaseException):
    """The process ends."""


class Steps:
    """Counts what has an effect, or asks for one, outside the process; the process ends at one of these steps."""

    def __init__(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken = 0
        self._ends_at: int | None = None
        for owner, names in (
            (place.records, ("get", "add", "start", "cut", "fail", "go_on")),
            (place.chunks, ("is_done", "done", "finished", "last_attempt", "ended", "forget_attempts")),
            (place.files, ("begin", "complete", "read", "plan", "put_plan", "remove")),
            (place.service, ("send",)),
            (place.function, ("send",)),
            (place.store, ("describe", "write", "stats")),
        ):
            for name in names:
                monkeypatch.setattr(owner, name, self._step(getattr(owner, name)))

    def end_at(self, step: int) -> None:
        """End at a step from now, when it is done and nobody has heard of it yet."""
        self.taken = 0
        self._ends_at = step

    def go_on(self) -> None:
        """Another process begins."""
        self._ends_at = None

    def _step(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            self.taken += 1
            ends = self._ends_at == self.taken
            answer = call(*arguments, **named)
            if ends:
                raise _CrashError
            return answer

        return step


def steps_of(run: Callable[[], object], steps: Steps) -> int:
    """How many steps there are without a crash."""
    steps.taken = 0
    run()
    return steps.taken


def versions(place: Place) -> dict[str, int]:
    """Of every row: the write that stored it last."""
    found = place.store.fetch("demo", "words", Fetch(ids=[*NAMES, "wrong"], consistency="strong")).vectors
    return {each.id: each.version for each in found}


def check_once(place: Place, import_id: str) -> None:
    """Everything of `TEXT` is stored, counted and told once."""
    shown = place.show(import_id)
    assert (shown.state, shown.stored, shown.refused, shown.chunks_done) == (State.DONE, 5, 1, 2)
    assert [(error.row, error.field) for error in shown.errors] == [(5, "values")]
    assert sorted(versions(place)) == NAMES
    last = int(place.store.stats("demo", "words").sequence.rpartition(".")[2])
    assert (last, set(versions(place).values())) == (3, {1, 2, 3}), "a row was written twice"
    assert [key for key in place.kept() if import_id in key] == []


def anew(place: Place) -> None:
    """An empty collection."""
    place.store.delete("demo", "words")
    place.store.create("demo", WORDS)
    place.service.bodies.clear()
    place.function.bodies.clear()


def delivered(place: Place) -> Iterator[Job]:
    """Jobs as a queue has them: what is not ended is delivered again, sooner or later."""
    for queue in (place.service, place.function):
        while queue.bodies:
            body = queue.bodies[0]
            job = queue.take()
            assert job is not None
            queue.bodies.insert(0, body)
            yield job
            queue.bodies.remove(body)


def run_all(place: Place) -> None:
    """Carry out every job."""
    for job in delivered(place):
        place.carry_out(job)


def test_a_crash_between_any_two_steps(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(place, monkeypatch)
    import_id = place.started(jsonl=TEXT)
    total = steps_of(lambda: run_all(place), steps)
    check_once(place, import_id)
    assert total > 20
    for step in range(1, total + 1):
        anew(place)
        import_id = place.started(jsonl=TEXT)
        steps.end_at(step)
        with pytest.raises(_CrashError):
            run_all(place)
        steps.go_on()
        run_all(place)
        check_once(place, import_id)


def test_a_crash_between_any_two_steps_of_a_start(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(place, monkeypatch)
    uploads = place.begin(jsonl=TEXT)
    place.upload(uploads, jsonl=TEXT)
    total = steps_of(lambda: place.imports.start("demo", uploads.id), steps)
    for step in range(1, total + 1):
        anew(place)
        uploads = place.begin(jsonl=TEXT)
        place.upload(uploads, jsonl=TEXT)
        steps.end_at(step)
        with pytest.raises(_CrashError):
            place.imports.start("demo", uploads.id)
        steps.go_on()
        assert place.imports.start("demo", uploads.id).state is State.RUNNING
        run_all(place)
        check_once(place, uploads.id)


@pytest.mark.parametrize("seed", range(8))
def test_deliveries_in_any_order_and_number_with_crashes(
    place: Place, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    drawn = random.Random(seed)
    steps = Steps(place, monkeypatch)
    import_id = place.started(jsonl=TEXT)
    waiting: list[Job] = []
    for _ in range(25):
        for queue in (place.service, place.function):
            while (job := queue.take()) is not None:
                waiting += [job] * drawn.choice([1, 1, 2, 3])
        if not waiting:
            break
        job = drawn.choice(waiting)
        steps.end_at(drawn.randint(1, 16))
        try:
            place.carry_out(job)
        except _CrashError:
            continue
        finally:
            steps.go_on()
        waiting.remove(job)
    for job in waiting:
        place.carry_out(job)
    place.work()
    check_once(place, import_id)


def chunks_of(place: Place, import_id: str) -> list[Chunk]:
    """The chunks of an import that is started, taken from their queue."""
    cut = place.service.take()
    assert cut is not None
    assert cut.import_id == import_id
    place.carry_out(cut)
    return [job for job in iter(place.function.take, None) if isinstance(job, Chunk)]


def test_one_chunk_at_two_places_at_the_same_time(place: Place) -> None:
    import_id = place.started(jsonl=TEXT)
    for chunk in chunks_of(place, import_id):
        threads = [threading.Thread(target=place.carry_out, args=(chunk,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    check_once(place, import_id)


def test_a_busy_store_is_waited_for_as_long_as_there_is_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    import_id = place.started(jsonl=TEXT)
    [first, second] = chunks_of(place, import_id)
    write, refused = place.store.write, [0, 9]

    def busy(*arguments: Any, **named: Any) -> Any:
        refused[0] += 1
        if refused[0] <= refused[1]:
            raise Problem(429, "builder_behind", "slow down", retry_after=2)
        return write(*arguments, **named)

    monkeypatch.setattr(place.store, "write", busy)
    place.carry_out(first)
    assert refused[0] > 9
    refused[1] = 1_000_000
    started = place.time.seconds
    assert code_of(lambda: place.carry_out(second)) == (429, "builder_behind")
    assert 45 < place.time.seconds - started <= 60
    assert place.show(import_id).state is State.RUNNING, "it is delivered again"
    refused[1] = 0
    place.carry_out(second, 2)
    check_once(place, import_id)


def test_what_is_stored_is_counted_although_others_count_at_the_same_moment(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = place.started(jsonl=TEXT)
    transact, refused = place.chunks.table.meta.client.transact_write_items, [0]

    def conflicting(**given: Any) -> Any:
        refused[0] += 1
        if refused[0] % 3:
            answer: Any = {"Error": {"Code": "TransactionCanceledException"}}
            reasons = [{"Code": "None"}, {"Code": "TransactionConflict"}, {"Code": "None"}]
            raise ClientError(answer | {"CancellationReasons": reasons}, "TransactWriteItems")
        return transact(**given)

    monkeypatch.setattr(place.chunks.table.meta.client, "transact_write_items", conflicting)
    for chunk in chunks_of(place, import_id):
        place.carry_out(chunk)
    check_once(place, import_id)


def test_a_chunk_that_fails_for_good_fails_its_import_until_it_is_redriven(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = place.started(jsonl=TEXT)
    [first, second] = chunks_of(place, import_id)

    def damaged(*_: Any, **_named: Any) -> Any:
        raise Problem(503, "log_corrupt", "The log is damaged.")

    with monkeypatch.context() as patched:
        patched.setattr(place.store, "write", damaged)
        for number in range(1, MOST + 1):
            assert place.show(import_id).state is State.RUNNING
            assert code_of(lambda number=number: place.carry_out(first, number)) == (503, "log_corrupt")  # type: ignore[misc]
    place.carry_out(second)
    failed = place.show(import_id)
    assert (failed.state, failed.chunks_done) == (State.FAILED, 1)
    assert failed.failure is not None
    assert (failed.failure.code, failed.failure.detail) == ("log_corrupt", "The log is damaged.")
    redriven = place.imports.redrive("demo", import_id)
    assert (redriven.state, redriven.failure) == (State.RUNNING, None)
    assert chunks_of(place, import_id) == [first], "what is done is not sent again"
    place.carry_out(first)
    check_all_stored(place, import_id)


@pytest.mark.parametrize("call", ["get", "last_attempt", "fail"])
def test_a_catalogue_that_is_away_during_the_last_attempt_leaves_no_import_running_for_ever(
    place: Place, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Attempts come within seconds of each other; and what fails unnoted then, nobody tells any more."""
    import_id = place.started(jsonl=TEXT)
    [first, second] = chunks_of(place, import_id)
    back = place.time.seconds + 45
    owner: Any = place.chunks if call == "last_attempt" else place.records
    answering = getattr(owner, call)

    def away(*given: Any, **named: Any) -> Any:
        if place.time.seconds < back:
            raise Problem(503, "catalogue_unavailable", "The catalogue does not answer; try again.")
        return answering(*given, **named)

    def wrong(*_: Any, **__: Any) -> Any:
        raise Problem(404, "collection_not_found", "It is gone.")

    place.carry_out(second)
    with monkeypatch.context() as patched:
        patched.setattr(owner, call, away)
        if call == "fail":
            patched.setattr(place.store, "write", wrong)
        place.carry_out(first, MOST)
    assert place.show(import_id).state is (State.FAILED if call == "fail" else State.DONE)


def test_an_error_of_ours_names_the_job_and_nothing_else(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    import_id = place.started(jsonl=TEXT)
    [first, _] = chunks_of(place, import_id)
    with monkeypatch.context() as patched:
        patched.setattr(place.store, "write", lambda *_, **__: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            place.carry_out(first, MOST)
    failure = place.show(import_id).failure
    assert failure is not None
    assert (failure.code, failure.detail.split()[0]) == ("internal_error", "chunk-00000000")
    assert "division" not in failure.detail


def test_a_last_attempt_that_is_killed_fails_its_import_once_its_time_is_over(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = place.started(jsonl=TEXT)
    [first, second] = chunks_of(place, import_id)

    def killed(*_: Any, **__: Any) -> Any:
        raise _CrashError

    with monkeypatch.context() as patched:
        patched.setattr(place.store, "write", killed)
        with pytest.raises(_CrashError):
            place.carry_out(first, MOST)
    place.carry_out(second)
    assert place.show(import_id).state is State.RUNNING
    place.time.advance(61)
    failed = place.show(import_id)
    assert failed.failure is not None
    assert (failed.state, failed.failure.code) == (State.FAILED, "cut_short")
    place.imports.redrive("demo", import_id)
    place.work()
    check_all_stored(place, import_id)


def test_a_last_attempt_that_goes_well_is_no_failure(place: Place) -> None:
    import_id = place.started(jsonl=TEXT)
    for chunk in chunks_of(place, import_id):
        place.carry_out(chunk, MOST)
    place.time.advance(10_000)
    check_once(place, import_id)


def test_messages_that_an_operator_redrives_end_a_failed_import(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    import_id = place.started(jsonl=TEXT)
    chunks = chunks_of(place, import_id)
    with monkeypatch.context() as patched:
        patched.setattr(place.store, "write", lambda *_, **__: 1 // 0)
        for chunk in chunks:
            with pytest.raises(ZeroDivisionError):
                place.carry_out(chunk, MOST)
    assert place.show(import_id).state is State.FAILED
    for chunk in chunks:
        place.carry_out(chunk)
    check_once(place, import_id)


def check_all_stored(place: Place, import_id: str) -> None:
    """As `check_once`, where chunks were stored in another order."""
    shown = place.show(import_id)
    assert (shown.state, shown.stored, shown.refused, shown.chunks_done) == (State.DONE, 5, 1, 2)
    assert sorted(versions(place)) == NAMES


def test_files_that_are_gone_fail_what_is_left(place: Place) -> None:
    import_id = place.started(jsonl=TEXT)
    [first, second] = chunks_of(place, import_id)
    place.carry_out(first)
    place.files.remove(place.records.get("demo", import_id))
    place.carry_out(second)
    failed = place.show(import_id)
    assert failed.failure is not None
    assert (failed.state, failed.failure.code, failed.stored) == (State.FAILED, "import_expired", 3)


def test_a_job_of_an_import_that_nobody_knows_is_over(place: Place) -> None:
    import_id = place.started(jsonl=TEXT)
    [first, _] = chunks_of(place, import_id)
    place.records.table.delete_item(Key={"pk": "T#demo", "sk": f"I#{import_id}"})
    place.carry_out(first)
    assert versions(place) == {}
