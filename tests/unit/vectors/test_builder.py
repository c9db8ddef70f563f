"""A builder outlives whatever happens to one collection, and says so."""

import errno
import logging
from collections.abc import Callable

import msgspec
import pytest

from anfl.vectors.builder import Builder
from anfl.vectors.collection_folder import CollectionFolder, LocalImage
from anfl.vectors.engine import compaction, tiers
from anfl.vectors.engine.folders import Draft
from anfl.vectors.engine.images import Image
from anfl.vectors.model import Collection, Position
from anfl.vectors.postponed import LONGEST_SECONDS
from anfl.vectors.storage import Storage
from anfl.vectors.writer import Writer
from tests.unit.vectors.builders import Noted, collection, storage, upsert
from tests.unit.vectors.simulated import SimulatedStore, SimulatedTime

HOUR = 3600.0


def other() -> Collection:
    return msgspec.structs.replace(collection(name="others"), incarnation="1" * 32)


def written(place: Storage, of: Collection, row_id: str) -> None:
    """A row, and the builder asked to look at it."""
    replica = place.replica(of)
    replica.load()
    Writer(replica).write(upsert((row_id, (1.0, 1.0))))
    place.node.ask(of)


def newest(place: Storage, of: Collection) -> int:
    """The sequence of the newest image on the node."""
    name = place.node.of(of).newest()
    return 0 if name is None else int(name.split("-")[0])


@pytest.fixture(name="time")
def _time() -> SimulatedTime:
    return SimulatedTime()


@pytest.fixture(name="noted")
def _noted() -> Noted:
    return Noted()


@pytest.fixture(name="place")
def _place(time: SimulatedTime, noted: Noted) -> Storage:
    return storage(SimulatedStore(), clock=time.clock(), events=noted)


def broken(of: Collection, error: Callable[[], Exception]) -> Callable[..., LocalImage]:
    """`CollectionFolder.publish`, which fails for one collection."""
    publish = CollectionFolder.publish

    def attempt(folder: CollectionFolder, position: Position, image: Image) -> LocalImage:
        if folder.segments.parent.name == of.incarnation:
            raise error()
        return publish(folder, position, image)

    return attempt


def test_a_folder_that_goes_away_under_a_builder_costs_one_turn(
    place: Storage, noted: Noted, time: SimulatedTime
) -> None:
    builder = Builder(place)
    written(place, collection(), "a")
    assert builder.turn()
    place.node.of(collection()).remove()  # as when a collection is deleted; this one comes back
    Writer(builder._kept[collection().incarnation].replica).write(upsert(("b", (2.0, 2.0))))
    place.node.ask(collection())
    written(place, other(), "c")
    assert builder.turn()
    assert builder.turn()
    assert newest(place, other()) == 1
    place.node.ask(collection())
    time.advance(2.0)
    assert builder.turn()
    assert newest(place, collection()) == 2
    assert noted.turns == ["done", "failed", "done", "done"]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(lambda: OSError(errno.ENOSPC, "No space left on device"), id="a full disk"),
        pytest.param(lambda: FileNotFoundError("rest"), id="a file that is gone"),
        pytest.param(lambda: RuntimeError("an image of these very rows was refused"), id="a defect of ours"),
    ],
)
def test_what_fails_is_tried_again_ever_more_rarely_and_others_have_their_turn(
    error: Callable[[], Exception],
    place: Storage,
    noted: Noted,
    time: SimulatedTime,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    builder = Builder(place)
    with monkeypatch.context() as patch:
        patch.setattr(CollectionFolder, "publish", broken(collection(), error))
        written(place, collection(), "a")
        ends = time.seconds + HOUR
        while time.seconds < ends:
            place.node.ask(collection())
            if not builder.turn():
                time.advance(0.5)
        builder.turn()  # its wait may have ended just now: from here on it waits again
        failures = noted.turns.count("failed")
        assert HOUR / LONGEST_SECONDS <= failures <= 2 * HOUR / LONGEST_SECONDS + 12
        assert set(noted.turns) == {"failed"}
        alarms = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert len(alarms) == failures, "each one is an alarm"
        assert all(record.exc_info for record in alarms)
        written(place, other(), "b")
        assert builder.turn()
        assert newest(place, other()) == 1
    place.node.ask(collection())
    time.advance(LONGEST_SECONDS)
    assert builder.turn()
    assert newest(place, collection()) == 1
    place.node.ask(collection())
    assert builder.turn(), "once it has worked, nothing is held against it"


def test_a_store_that_is_away_postpones_and_is_no_alarm(
    noted: Noted, time: SimulatedTime, caplog: pytest.LogCaptureFixture
) -> None:
    objects = SimulatedStore()
    place = storage(objects, clock=time.clock(), events=noted)
    written(place, collection(), "a")
    objects.faults = 2.0
    builder = Builder(place)
    assert builder.turn()
    objects.faults = 0.0
    assert noted.turns == ["postponed"]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    place.node.ask(collection())
    assert not builder.turn(), "not at once"
    time.advance(1.0)
    assert builder.turn()
    assert newest(place, collection()) == 1


def test_what_could_not_be_written_to_its_end_leaves_the_disk(
    place: Storage, noted: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a full disk stays full, by what did not fit."""
    monkeypatch.setattr(tiers, "GRAPH_FROM", 1)
    written(place, collection(), "a")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(compaction, "_write_graph", full)
    assert Builder(place).turn()
    assert noted.turns == ["failed"]
    assert list(place.node.of(collection()).segments.iterdir()) == []


def test_what_a_killed_builder_was_writing_goes_when_its_successor_begins(place: Storage) -> None:
    """One that is killed again and again, since memory is short, would fill the disk within the hour."""
    written(place, collection(), "a")
    folder = place.node.of(collection())
    Draft(folder.segments).write("rows.bin", {})
    arriving = folder.new_segment("5e6")
    assert Builder(place).turn()
    assert list(folder.segments.iterdir()) == [arriving], "somebody else brings that at this moment"
