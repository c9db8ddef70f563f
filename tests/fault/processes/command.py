"""Rounds of killed processes against the S3 of the embedded AWS."""

import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from anfl.problems import Problem
from anfl.vectors.changes import Change
from anfl.vectors.envelope import Checksummed
from anfl.vectors.log import Log
from anfl.vectors.model import Position
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.replica import Replica
from tests.fault.oracle import Content, DivergenceError, Held, Oracle, compare, content_of, expect
from tests.fault.output import progress
from tests.fault.processes import worker
from tests.fault.processes.worker import BUCKET, CHANGES, COLLECTION, Answered, Asked, Line, Looked, Spec

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

T = TypeVar("T")
WRITERS = 8
NODES = 2
START_SECONDS = 120.0
"""Longest wait for processes that begin, and for an answer of the embedded AWS."""
REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Outcome:
    """What the rounds amounted to."""

    text: str
    failed: bool
    acknowledged: int


@dataclass
class _Judge:
    """Compares what processes say with what the log says, as far as both go."""

    log: Log
    reports: Path
    requests: dict[str, Change] = field(default_factory=dict)
    acknowledged: int = 0
    reads: int = 0
    _refused: set[str] = field(default_factory=set)
    _waiting: list[Answered | Looked] = field(default_factory=list)
    _offsets: dict[Path, int] = field(default_factory=dict)
    _oracle: Oracle = field(init=False)

    def __post_init__(self) -> None:
        self._oracle = Oracle(self.requests)

    @property
    def sequence(self) -> int:
        """How far the model has come."""
        return len(self._oracle.states) - 1

    def judge(self, fresh: Replica) -> None:
        """Everything that was committed and reported since the last time, and a node that begins now.

        :raises DivergenceError: a promise was broken.
        """
        self._follow()
        least = self.sequence
        _patiently(fresh.load)
        sequence, content, now = fresh.view(lambda state: (state.sequence, content_of(state), state.now()))
        expect(sequence >= least, f"a new node sees {sequence}, not {least}")
        self._follow()
        compare(content, self._oracle.states[sequence], now, f"a new node at {sequence}")
        for request_id in self._refused:
            expect(request_id not in self._oracle.applied, f"{request_id} was refused and is in the log")
        waiting, self._waiting = self._waiting, []
        for line in waiting:
            if isinstance(line, Looked):
                self._judge_look(line)
            else:
                self._judge_answer(line)

    def _follow(self) -> None:
        """Let the model come to the end of the log. Who put a batch there said before what it was asked for."""
        batches = _patiently(lambda: list(self.log.tail(self.sequence)))
        for path in sorted(self.reports.iterdir()):
            for line in self._news(path):
                if isinstance(line, Asked):
                    self.requests[line.request_id] = msgspec.json.decode(line.change, type=CHANGES[line.kind])
                elif isinstance(line, Answered) and line.sequence is None:
                    self._refused.add(line.request_id)
                else:
                    self._waiting.append(line)
        self._oracle.play(batches)

    def _judge_answer(self, line: Answered) -> None:
        answer = (Position.parse(line.sequence or "").sequence, line.count)
        if answer[0] > self.sequence:
            self._waiting.append(line)  # it was committed since
            return
        self.acknowledged += 1
        applied = self._oracle.applied.get(line.request_id)
        expect(applied == [answer], f"{line.request_id} was answered {answer}, and the log says {applied}")

    def _judge_look(self, line: Looked) -> None:
        if line.sequence > self.sequence:
            self._waiting.append(line)
            return
        self.reads += 1
        content: Content = {row_id: Held(*row) for row_id, row in line.rows.items()}
        compare(content, self._oracle.states[line.sequence], line.now, f"a reader at {line.sequence}")

    def _news(self, path: Path) -> list[Line]:
        """Whole lines that a process has added; one that it was killed in the middle of never comes."""
        with path.open("rb") as file:
            file.seek(self._offsets.get(path, 0))
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offsets[path] = self._offsets.get(path, 0) + len(whole)
        return [msgspec.json.decode(line, type=Line) for line in whole.splitlines()]


class _Fleet:
    """The processes, and what starts and kills them."""

    def __init__(self, endpoint: str, folder: Path, dice: random.Random, *, careless: bool) -> None:
        self._careless = careless
        self._endpoint = endpoint
        self._folder = folder
        self._dice = dice
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.fault.processes.worker"])
        self._running: dict[str, ForkServerProcess] = {}
        self._lives = 0
        self.kills = 0
        self.reports = folder / "reports"
        self.reports.mkdir()
        self._crashes = folder / "crashes"
        self._crashes.mkdir()
        self._names: dict[str, str] = {}

    def start(self) -> None:
        """Writers, and on each node a reader and a builder."""
        for number in range(WRITERS):
            self._start("writer", number, number % NODES)
        for node in range(NODES):
            self._start("reader", node, node)
            self._start("builder", node, node)

    def kill_some(self) -> None:
        """Kill one to three of them at once, and start others in their place."""
        for key in self._dice.sample(sorted(self._running), self._dice.randint(1, 3)):
            process = self._running.pop(key)
            self._expect_alive(key, process)
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            self.kills += 1
            role, number, node = key.split()
            self._start(role, int(number), int(node))

    def stop(self) -> None:
        """End all of them."""
        for process in self._running.values():
            process.kill()
            process.join()

    def _expect_alive(self, key: str, process: "ForkServerProcess") -> None:
        if process.exitcode is not None:
            where = (self._crashes / self._names[key]).read_text()
            raise DivergenceError(f"{key} has ended by itself with {process.exitcode}\n{where}")

    def _start(self, role: str, number: int, node: int) -> None:
        self._lives += 1
        name = f"{role}{number}.{self._lives}"
        spec = Spec(
            name=name,
            role=role,
            endpoint=self._endpoint,
            folder=self._folder / f"node{node}",
            report=self.reports / name,
            crash=self._crashes / name,
            seed=self._dice.getrandbits(32),
            careless=self._careless,
        )
        process = self._context.Process(target=worker.run, args=(spec,), daemon=True)
        process.start()
        key = f"{role} {number} {node}"
        self._running[key], self._names[key] = process, name


def kill(seed: int, rounds: int, *, careless: bool = False) -> Outcome:
    """``rounds`` of killing, each compared with the model, with progress on standard error.

    :param careless: writers that overwrite each other, for whoever wants to see the model object.
    """
    dice = random.Random(seed)
    with embedded_aws() as endpoint, tempfile.TemporaryDirectory(prefix="anfl-fault-") as folder:
        worker.client(endpoint).create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-1"}
        )
        fleet = _Fleet(endpoint, Path(folder), dice, careless=careless)
        judge = _Judge(
            Log(S3ObjectStore(worker.client(endpoint), BUCKET), COLLECTION, envelope=Checksummed()), fleet.reports
        )
        played, started = 0, time.monotonic()
        failure = None
        try:
            fleet.start()
            _wait_for_writers(judge)
            while played < rounds:
                time.sleep(dice.uniform(0, 0.5))
                fleet.kill_some()
                fresh = worker.storage(endpoint, Path(folder) / f"fresh{played}")
                judge.judge(fresh.replica(COLLECTION))
                shutil.rmtree(Path(folder) / f"fresh{played}")
                played += 1
                passed = time.monotonic() - started
                progress(f"processes: {played} of {rounds} rounds, {passed:.0f} s")
        except DivergenceError as error:
            failure = f"seed {seed}, round {played}: {error}"
        finally:
            fleet.stop()
            progress("", done=True)
    text = (
        f"processes: {played} rounds, {fleet.kills} killed, {WRITERS} writers on {NODES} nodes, "
        f"{judge.sequence:,} batches, "
        f"{judge.acknowledged:,} acknowledged writes and {judge.reads:,} reads compared with the model: "
    )
    return Outcome(text + (failure or "nothing lost"), failure is not None, judge.acknowledged)


def _patiently(work: Callable[[], T]) -> T:
    """``work``, again where the embedded AWS does not answer in time: that says how busy the machine is, no more."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return work()
        except Problem as problem:
            if problem.code != "storage_unavailable" or time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _wait_for_writers(judge: _Judge) -> None:
    """Until several batches are there: what dies before it has done anything proves nothing."""
    deadline = time.monotonic() + START_SECONDS
    while len(_patiently(lambda: list(judge.log.tail(0)))) < WRITERS:
        expect(time.monotonic() < deadline, "nothing is written")
        time.sleep(0.1)


@contextmanager
def embedded_aws() -> Iterator[str]:
    """The address of an embedded AWS of our own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="anfl-aws-") as folder:
        log = Path(folder) / "functions.log"
        command = [sys.executable, "-m", "local.aws", "--port", str(port), "--log", str(log), "--cache", folder]
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for(endpoint, process)
            yield endpoint
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(endpoint: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{endpoint}/_anfl/health", timeout=5).close()  # noqa: S310 - loopback
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the embedded AWS does not answer")
