"""Assembles the engine from the classes that there are."""

from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING

import boto3

from anfl import aws
from anfl.resources import engine_class_table
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.changing import Changing
from anfl.vectors.dynamodb.classes import EngineClass
from anfl.vectors.dynamodb.deletions import Deletions
from anfl.vectors.dynamodb.engine import DynamoDbEngine
from anfl.vectors.dynamodb.jobs import Queue
from anfl.vectors.dynamodb.moves import Moves
from anfl.vectors.dynamodb.reading import Reader
from anfl.vectors.dynamodb.table import Table
from anfl.vectors.dynamodb.tables import Class
from anfl.vectors.dynamodb.writing import Rows

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

READS = 32
"""Searches, and reads of partitions, that a process has under way."""
WRITES = 64
"""Transactions that a process has under way of changes that go in parts."""


def build_engine(
    classes: Sequence[EngineClass],
    session: boto3.session.Session,
    *,
    environment: str,
    jobs: Queue | None,
) -> DynamoDbEngine:
    """The engine over the tables of ``classes`` in ``environment``. Nothing is asked of them yet."""
    # `Table` tries again itself, and knows for how long.
    once = {"mode": "standard", "total_max_attempts": 1}
    client = session.client(
        "dynamodb", config=aws.config(read_timeout=5, retries=once, max_pool_connections=READS + WRITES)
    )
    tables = {each: engine_class_table(environment, each.name) for each in classes}
    return engine_over(client, tables, clock=Clock(), jobs=jobs)


def engine_over(
    client: "DynamoDBClient", tables: dict[EngineClass, str], *, clock: Clock, jobs: Queue | None
) -> DynamoDbEngine:
    """The engine over ``tables``, each the name of a class's."""
    reads = ThreadPoolExecutor(READS, thread_name_prefix="search")
    writes = ThreadPoolExecutor(WRITES, thread_name_prefix="write")

    def of(made: EngineClass, name: str) -> Class:
        table = Table(client, name, sleep=clock.sleep)
        return class_over(table, made, clock=clock, reads=reads, writes=writes)

    return DynamoDbEngine({made.name: of(made, name) for made, name in tables.items()}, jobs, clock)


def class_over(table: Table, made: EngineClass, *, clock: Clock, reads: Executor, writes: Executor) -> Class:
    """What is done with the ``table`` of a class. ``reads`` and ``writes`` carry out several at a time."""
    reader, rows = Reader(table, clock, reads), Rows(table, clock)
    moves = Moves(table, reader, clock)
    return Class(
        made=made,
        rows=rows,
        changing=Changing(rows, moves.rounds, clock, writes),
        reader=reader,
        deletions=Deletions(table, reader, clock),
        moves=moves,
    )
