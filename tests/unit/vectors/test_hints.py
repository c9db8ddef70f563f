"""Hints: useful where they are, and no harm where they are not."""

from typing import Any

import boto3
import msgspec
import pytest
from botocore.exceptions import ConnectTimeoutError

from anfl.resources import CATALOGUE
from anfl.vectors import hints as hints_module
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.hints import KEPT_SECONDS, DynamoHints
from anfl.vectors.janitor import Janitor
from anfl.vectors.local_copy import IMAGE_BATCHES
from anfl.vectors.model import CollectionSettings
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.storage import Storage
from anfl.vectors.store import VectorStore
from tests.unit.vectors.builders import collection, node, upsert
from tests.unit.vectors.importing import TABLE


class Away:
    """A table that does not answer."""

    def __getattr__(self, _name: str) -> Any:
        def call(**_: Any) -> Any:
            raise ConnectTimeoutError(endpoint_url="dynamodb")

        return call


@pytest.fixture(name="hints")
def _hints(session: boto3.session.Session) -> DynamoHints:
    return DynamoHints(session.resource("dynamodb").Table(TABLE), now=iter(range(0, 10**6, 10)).__next__)


def test_the_highest_slot_is_remembered(hints: DynamoHints) -> None:
    assert hints.last(collection()) == 0
    for sequence in (3, 7, 5):
        hints.note(collection(), sequence)
    assert hints.last(collection()) == 7


def test_a_hint_goes_by_itself_so_that_none_is_left_of_collections_that_are_gone(
    hints: DynamoHints, session: boto3.session.Session
) -> None:
    hints.note(collection(), 1)
    table = session.resource("dynamodb").Table(TABLE)
    [item] = table.scan()["Items"]
    assert int(str(item[str(CATALOGUE.ttl_attribute)])) == pytest.approx(Clock().wall() + KEPT_SECONDS, abs=60)


def test_hints_are_not_written_at_every_turn(session: boto3.session.Session) -> None:
    hints = DynamoHints(session.resource("dynamodb").Table(TABLE), now=lambda: 1.0)
    for sequence in (1, 2):
        hints.note(collection(), sequence)
    assert hints.last(collection()) == 1


class Counting:
    """A table that counts what is written to it; ``away``, in vain."""

    def __init__(self) -> None:
        self.writes = 0
        self.away = False

    def put_item(self, **_: Any) -> None:
        """See boto3."""
        self.writes += 1
        if self.away:
            raise ConnectTimeoutError(endpoint_url="dynamodb")


def test_a_log_that_has_not_grown_costs_no_write() -> None:
    table = Counting()
    hints = DynamoHints(table, now=iter(range(0, 10**6, 10)).__next__)  # type: ignore[arg-type]
    for sequence in (0, 3, 3, 3, 2):
        hints.note(collection(), sequence)
    assert table.writes == 1
    table.away = True
    for _ in range(2):
        hints.note(collection(), 4)
    assert table.writes == 3, "what was not written is tried again"


def test_what_is_remembered_of_hints_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints_module, "_MOST_NOTED", 10)
    hints = DynamoHints(Counting(), now=lambda: 1.0)  # type: ignore[arg-type]
    for number in range(100):
        hints.note(msgspec.structs.replace(collection(), incarnation=f"{number:032x}"), 1)
    assert len(hints._noted) <= 10


def test_a_table_that_is_away_is_no_problem() -> None:
    hints = DynamoHints(Away(), now=lambda: 1.0)  # type: ignore[arg-type]
    hints.note(collection(), 1)
    assert hints.last(collection()) == 0


def test_no_hint_gets_between_a_tenant_and_its_names(hints: DynamoHints, catalogue: Catalogue) -> None:
    hints.note(collection(), 1)
    assert catalogue.collections("demo", limit=1) == ([], False)
    assert catalogue.is_free("demo", "H")


def test_the_janitor_has_snapshots_made_of_logs_that_nobody_follows(
    hints: DynamoHints, catalogue: Catalogue, objects: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints_module, "NOTE_SECONDS", 0.0)
    storage = Storage(objects=objects, node=node(), hints=hints, clock=Clock())
    store = VectorStore(catalogue, storage)
    store.create("demo", CollectionSettings(name="words", dimension=2))
    store.write("demo", "words", upsert(("a", (1, 1))))
    made = store.describe("demo", "words")
    janitor = Janitor(storage, catalogue)
    janitor.sweep(now=Clock().wall())
    assert storage.node.asked() == []
    hints.note(made, IMAGE_BATCHES)
    janitor.sweep(now=Clock().wall())
    assert storage.node.asked() == [made]
    store.close()


def test_a_catalogue_that_is_away_is_an_outage_and_nothing_is_applied(
    store: VectorStore, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("demo", CollectionSettings(name="words", dimension=2))
    with monkeypatch.context() as patch:
        patch.setattr(catalogue._entries, "_table", Away())
        for call in (
            lambda: store.write("demo", "words", upsert(("a", (1, 1)))),
            lambda: store.create("demo", CollectionSettings(name="others", dimension=2)),
            lambda: store.set_alias("demo", "live", "words"),
        ):
            with pytest.raises(Exception, match="catalogue_unavailable"):
                call()
    assert store.stats("demo", "words").rows == 0
    assert [each.name for each in store.collections("demo")[0]] == ["words"]
