"""What runs in the processes that are killed: writers, readers and builders of one collection.

Each process writes what it is about to ask for, and what it was answered, into a file of its own. The kernel keeps what
was written when the process is killed.
"""

import faulthandler
import logging
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import msgspec
from botocore.config import Config

from anfl.problems import Problem
from anfl.start import settle
from anfl.vectors import request_runs
from anfl.vectors.builder import Builder, SnapshotPolicy
from anfl.vectors.changes import Change
from anfl.vectors.engine import tiers
from anfl.vectors.model import Collection, CollectionSettings, Metric
from anfl.vectors.node import NodeFolder
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.replica import Replica
from anfl.vectors.requests import DeleteRows, PatchRows, Read, Upsert
from anfl.vectors.storage import Storage
from anfl.vectors.writer import Writer
from tests.fault.changes import Habits
from tests.fault.oracle import content_of
from tests.fault.strict import Strict

BUCKET = "vectors"
HABITS = Habits(ids=[f"row{number}" for number in range(60)], dimension=4, versions=50, lifetimes=(-1, 0.5, 60))
COLLECTION = Collection(
    tenant="demo",
    settings=CollectionSettings(name="words", dimension=4, metric=Metric.L2),
    incarnation="0123456789abcdef0123456789abcdef",
    created_at=1.0,
)


@dataclass(frozen=True)
class Spec:
    """One process: its ``role`` on a node, and where it reports to."""

    name: str
    role: str
    endpoint: str
    folder: Path
    report: Path
    crash: Path
    """Where a process that dies of a signal says what it was doing."""
    seed: int
    careless: bool = False
    """Whether it overwrites slots that are taken: the suite must notice."""


class Asked(msgspec.Struct, tag=True):
    """A request that is about to be sent."""

    request_id: str
    kind: str
    change: msgspec.Raw


class Answered(msgspec.Struct, tag=True):
    """Its answer: a position, or a refusal for good."""

    request_id: str
    sequence: str | None
    count: int
    first: bool


class Looked(msgspec.Struct, tag=True):
    """A whole state that a reader saw, and the sequence that it had to see at least."""

    sequence: int
    now: float
    rows: dict[str, tuple[bytes, dict[str, Any], int, float | None]]


Line = Asked | Answered | Looked
CHANGES: dict[str, type[Change]] = {"Upsert": Upsert, "PatchRows": PatchRows, "DeleteRows": DeleteRows}


class Report:
    """A file of lines; each is written in one call."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def write(self, line: Line) -> None:
        """Add a line."""
        os.write(self._file, msgspec.json.encode(line) + b"\n")


def client(endpoint: str) -> Any:
    """An S3 client of the embedded AWS."""
    session = boto3.session.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name="us-west-1")
    config = Config(retries={"total_max_attempts": 2}, connect_timeout=2, read_timeout=10, max_pool_connections=32)
    return session.client("s3", endpoint_url=endpoint, config=config)


class Careless(S3ObjectStore):
    """No put is conditional."""

    def put_if_absent(self, key: str, body: bytes | bytearray) -> None:
        """See `ObjectStore.put_if_absent`, which this is not."""
        self.put(key, body)


def storage(endpoint: str, folder: Path, *, careless: bool = False) -> Storage:
    """The collection's storage on a node."""
    objects = (Careless if careless else S3ObjectStore)(client(endpoint), BUCKET)
    return Storage(objects=objects, node=NodeFolder(folder), events=Strict())


def run(spec: Spec) -> None:
    """Until somebody kills it."""
    logging.disable(logging.CRITICAL)
    faulthandler.enable(spec.crash.open("w"))
    settle()
    tiers.GRAPH_FROM = 20
    request_runs.MOST_RECENT = 20
    dice = random.Random(spec.seed)
    where = storage(spec.endpoint, spec.folder, careless=spec.careless)
    if spec.role == "builder":
        _build(where, dice)
    replica = _loaded(where)
    report = Report(spec.report)
    if spec.role == "writer":
        _write(Writer(replica), replica, where, report, dice, spec.name)
    else:
        _read(replica, report, dice)


def _build(where: Storage, dice: random.Random) -> None:
    builder = Builder(where, policy=SnapshotPolicy(batches=40))
    while True:
        if not builder.turn():
            time.sleep(0.02)
        if dice.random() < 0.05:
            where.node.ask(COLLECTION)


def _write(writer: Writer, replica: Replica, where: Storage, report: Report, dice: random.Random, name: str) -> None:
    number = 0
    while True:
        number += 1
        request_id = f"{name}.{number}"
        change = HABITS.draw(dice, request_id, now=time.time())
        report.write(Asked(request_id, type(change).__name__, msgspec.Raw(msgspec.json.encode(change))))
        for attempt in range(5):
            try:
                written = writer.write(change)
            except Problem as problem:
                if problem.status == 503:
                    continue
                if problem.status == 409 and attempt == 0:
                    report.write(Answered(request_id, None, 0, first=True))
                break
            count = next(n for n in (written.upserted, written.patched, written.deleted) if n is not None)
            report.write(Answered(request_id, written.sequence, count, first=attempt == 0))
            break
        if replica.wants_builder():
            where.node.ask(COLLECTION)
        if dice.random() < 0.1:
            replica.install_newest()


def _read(replica: Replica, report: Report, dice: random.Random) -> None:
    while True:
        try:
            replica.freshen(Read(consistency=dice.choice(["strong", "bounded"])))
        except Problem as problem:
            if problem.status != 503:
                raise
        replica.install_newest()
        sequence, content, now = replica.view(lambda state: (state.sequence, content_of(state), state.now()))
        rows = {row_id: (held.values, held.metadata, held.version, held.expires_at) for row_id, held in content.items()}
        report.write(Looked(sequence, now, rows))
        time.sleep(dice.uniform(0, 0.1))


def _loaded(where: Storage) -> Replica:
    while True:
        replica = where.replica(COLLECTION)
        try:
            replica.load()
        except Problem:
            time.sleep(0.1)
        else:
            return replica
