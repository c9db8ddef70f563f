"""Sealed collections: nobody without their keys reads, forges or moves anything, and nobody with them notices."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest

from anfl.crypto import sealed
from anfl.crypto.data_keys import KEPT_SECONDS
from anfl.environment import MissingSettingError
from anfl.resources import Service
from anfl.vectors import build
from anfl.vectors import catalogue as catalogue_module
from anfl.vectors import parts as parts_module
from anfl.vectors.builder import Builder, SnapshotPolicy
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.envelope import Checksummed, DamagedError
from anfl.vectors.model import Collection, CollectionSettings, Metric
from anfl.vectors.repair import ARRIVAL_SECONDS, Repairs
from anfl.vectors.requests import Count, Fetch
from anfl.vectors.sealing import ObjectKeys, Unsealed, packed, sealing, unpacked
from anfl.vectors.storage import Storage
from anfl.vectors.store import VectorStore
from tests.unit.crypto.wrapping import FakeTransit
from tests.unit.vectors.builders import Noted, node, upsert
from tests.unit.vectors.importing import TABLE
from tests.unit.vectors.simulated import SimulatedStore, SimulatedTime
from tests.unit.vectors.test_repair import Elsewhere
from tests.unit.vectors.test_store import code_of

WORDS = CollectionSettings(name="words", dimension=2, metric=Metric.L2)
NAMES = CollectionSettings(name="names", dimension=2, metric=Metric.L2)
DAY = 24 * 3600.0


class World:
    """One region: a bucket, a catalogue, a Vault, and nodes that begin with nothing."""

    def __init__(self, session: boto3.session.Session) -> None:
        self.time = SimulatedTime()
        self.objects = SimulatedStore(now=lambda: self.time.seconds)
        self.transit = FakeTransit()
        self.events = Noted()
        self.table = session.resource("dynamodb").Table(TABLE)
        self.catalogue = Catalogue(self.table, seals=True)

    def storage(
        self, *, unsealed: bool = False, objects: SimulatedStore | None = None, here: str | None = None
    ) -> Storage:
        """Of a new node; of another region with ``objects`` of its own."""
        clock = self.time.clock()
        objects = objects or self.objects
        repairs = Repairs(objects, events=self.events)
        envelopes = sealing(objects, self.transit, repairs=repairs, monotonic=clock.monotonic, here=here)
        return Storage(
            objects=objects,
            here=here,
            node=node(),
            clock=clock,
            threads=False,
            events=self.events,
            envelopes=Unsealed() if unsealed else envelopes,
        )

    def node(self, *, catalogue: Catalogue | None = None) -> VectorStore:
        """A new one."""
        return VectorStore(catalogue or self.catalogue, self.storage())

    def snapshot(self, collection: Collection) -> None:
        """A turn of some node's builder."""
        Builder(self.storage(), policy=SnapshotPolicy(batches=1)).build(collection)

    def keys(self, collection: Collection, folder: str) -> list[str]:
        """Of a collection's objects."""
        return sorted(key for key in self.objects.objects if key.startswith(f"{collection.prefix}{folder}/"))


@pytest.fixture(name="world")
def _world(session: boto3.session.Session, monkeypatch: pytest.MonkeyPatch) -> World:
    """Every incarnation begins with epoch 1, so that only their names and incarnations differ."""
    monkeypatch.setattr(catalogue_module, "first_epoch", lambda _incarnation: 1)
    return World(session)


@pytest.fixture(name="store")
def _store(world: World) -> Iterator[VectorStore]:
    store = world.node()
    yield store
    store.close()


@pytest.fixture(name="words")
def _words(store: VectorStore) -> Collection:
    made, _ = store.create("demo", WORDS)
    store.write("demo", "words", upsert(("a", (1, 1)), ("b", (2, 2)), request_id="first"))
    return made


def ids(store: VectorStore, name: str = "words", tenant: str = "demo") -> list[str]:
    return [row.id for row in store.fetch(tenant, name, Fetch(ids=list("abcd"), consistency="strong")).vectors]


def test_a_collection_is_sealed_from_the_beginning_and_other_nodes_open_it(
    world: World, store: VectorStore, words: Collection
) -> None:
    assert words.sealed
    world.snapshot(words)
    store.write("demo", "words", upsert(("c", (3, 3))))
    other = world.node()
    assert ids(other) == ["a", "b", "c"]
    assert other.write("demo", "words", upsert(("d", (4, 4)))).sequence == "1.3"
    assert ids(store) == ["a", "b", "c", "d"]
    assert len(world.keys(words, "keys")) == 1


@pytest.mark.usefixtures("words")
def test_what_another_region_seals_takes_no_key_of_the_homes_place(world: World, store: VectorStore) -> None:
    """On a day that begins, with nothing of it copied yet."""
    elsewhere = SimulatedStore(now=lambda: world.time.seconds)
    elsewhere.objects.update(world.objects.objects)
    world.time.advance(DAY)
    far = VectorStore(world.catalogue, world.storage(objects=elsewhere, here="eu-west-1"))
    far.create_snapshot("demo", "words", "last")
    store.write("demo", "words", upsert(("c", (3, 3))))
    world.objects.objects.update(elsewhere.objects)  # S3 copies it, and the later one of two under a key stays
    assert ids(world.node()) == ["a", "b", "c"]
    world.node().restore("demo", "words", "last", "again")
    assert ids(world.node(), "again") == ["a", "b"]


def test_no_object_shows_anything_of_what_is_in_it(world: World, store: VectorStore) -> None:
    made, _ = store.create("demo", WORDS)
    canary = upsert(("canary-id", (1234.5, 5432.1)), metadata={"canary-field": "canary-value"}, request_id="canary-req")
    store.write("demo", "words", canary)
    world.snapshot(made)
    store.create_snapshot("demo", "words", "monday")
    store.restore("demo", "words", "monday", "again")
    digests = [part.sha256 for manifest in [newest(store, made)] for part in manifest.parts().values()]
    values = msgspec.msgpack.encode(store.fetch("demo", "words", Fetch(ids=["canary-id"])).vectors[0].values)[-8:]
    secrets = [b"canary", values, b"canary-req", *(digest.encode() for digest in digests)]
    assert len(world.objects.objects) >= 8
    for key, body in world.objects.objects.items():
        for secret in secrets:
            assert secret not in body, key
            assert secret not in key.encode(), key


def newest(store: VectorStore, collection: Collection) -> Any:
    manifests = store.storage.snapshots(collection).manifests
    return manifests.read(manifests.newest_first()[0].path)


def deleted_and_made_again(store: VectorStore) -> Collection:
    store.delete("demo", "words")
    return store.create("demo", WORDS)[0]


@pytest.mark.parametrize(
    ("target", "slot"),
    [
        pytest.param(lambda _, words: words, 2, id="slot"),
        pytest.param(lambda store, _: store.create("demo", NAMES)[0], 1, id="collection"),
        pytest.param(lambda store, _: store.create("acme", WORDS)[0], 1, id="tenant"),
        pytest.param(lambda store, _: deleted_and_made_again(store), 1, id="incarnation"),
    ],
)
@pytest.mark.parametrize("with_its_key", [False, True])
def test_a_batch_that_is_moved_does_not_open(
    world: World,
    store: VectorStore,
    words: Collection,
    target: Callable[[VectorStore, Collection], Collection],
    slot: int,
    with_its_key: bool,
) -> None:
    objects = world.objects.objects
    body, (key,) = objects[world.keys(words, "log")[0]], world.keys(words, "keys")
    wrapped = objects[key]
    to = target(store, words)
    objects[f"{to.prefix}log/00000001/{slot:020d}"] = body
    if with_its_key:
        objects[f"{to.prefix}keys/{key.partition('/keys/')[2]}"] = wrapped
    assert code_of(lambda: ids(world.node(), to.name, to.tenant)) == (503, "log_corrupt")


def test_parts_and_manifests_that_are_moved_do_not_open(
    world: World, store: VectorStore, words: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_module, "PART_BYTES", 50)
    world.snapshot(words)
    store.write("demo", "words", upsert(("c", (3, 3))))
    world.snapshot(words)
    snapshots = store.storage.snapshots(words)
    one, other, *_ = (snapshots.parts.key(name) for name in newest(store, words).parts())
    objects = world.objects.objects
    objects[one], objects[other] = objects[other], objects[one]
    with pytest.raises(DamagedError):
        snapshots.verify(newest(store, words))
    older, newer = world.keys(words, "snapshots")
    objects[older], objects[newer] = objects[newer], objects[older]
    with pytest.raises(DamagedError):
        newest(store, words)
    assert ids(world.node()) == ["a", "b", "c"], "the log is there still"


def test_in_a_sealed_collection_an_object_that_is_not_is_damage(
    world: World, store: VectorStore, words: Collection
) -> None:
    plain = Checksummed()
    open_ = store.storage.replica(words).log._envelope.open
    key = world.keys(words, "log")[0]
    world.objects.objects[key] = plain.seal(key, open_(key, world.objects.objects[key]))
    assert code_of(lambda: ids(world.node())) == (503, "log_corrupt")


def test_in_a_sealed_collection_a_part_that_is_not_is_damage(
    world: World, store: VectorStore, words: Collection
) -> None:
    """Also where its content is right: nobody shall find one that could be read."""
    world.snapshot(words)
    snapshots, manifest = store.storage.snapshots(words), newest(store, words)
    for name, part in manifest.parts().items():
        key = snapshots.parts.key(name)
        plain = Checksummed().seal_part(key, snapshots.parts.read(part, parts_module.whole))
        world.objects.objects[key] = plain
    with pytest.raises(DamagedError):
        snapshots.verify(manifest)


@pytest.mark.parametrize(
    "name", ["", "../../names/keys/00000001/2026-01-01", "00000001/2026-01-01\n", "00000001/2026-01-01/..", "0" * 255]
)
def test_what_names_a_key_that_cannot_be_is_damage_and_nobody_looks_for_it(
    world: World, words: Collection, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes the bucket would otherwise have nodes ask S3 for whatever it likes."""
    key = world.keys(words, "log")[0]
    forged = sealed.seal(b"", key=os.urandom(sealed.KEY_BYTES), key_name=name, place=key, identity="x")
    world.objects.objects[key] = bytes(forged)
    really, asked = world.objects.get, list[str]()

    def get(key: str) -> bytes | None:
        asked.append(key)
        return really(key)

    monkeypatch.setattr(world.objects, "get", get)
    assert code_of(lambda: ids(world.node())) == (503, "log_corrupt")
    assert key in asked
    assert not [each for each in asked if each.startswith(f"{words.prefix}keys/")]


def test_a_forged_manifest_is_no_snapshot(world: World, store: VectorStore, words: Collection) -> None:
    world.snapshot(words)
    (path,) = world.keys(words, "snapshots")
    forged = msgspec.structs.replace(newest(store, words), rest=(), segments=(), rows=0)
    world.objects.objects[path] = Checksummed().seal(path, msgspec.msgpack.encode(forged))
    assert ids(world.node()) == ["a", "b"]


def test_a_forged_name_restores_nothing(world: World, store: VectorStore, words: Collection) -> None:
    store.create_snapshot("demo", "words", "monday")
    store.write("demo", "words", upsert(("c", (3, 3))))
    store.create_snapshot("demo", "words", "tuesday")
    monday, tuesday = world.keys(words, "named")
    world.objects.objects[monday] = world.objects.objects[tuesday]
    assert code_of(lambda: store.restore("demo", "words", "monday", "again")) == (503, "snapshot_damaged")


def test_a_collection_from_before_stays_readable_and_becomes_a_sealed_one_by_restoring(
    world: World, store: VectorStore
) -> None:
    before = world.node(catalogue=Catalogue(world.table, seals=False))
    made, _ = before.create("demo", WORDS)
    before.write("demo", "words", upsert(("a", (1, 1))))
    assert not made.sealed
    store.write("demo", "words", upsert(("b", (2, 2))))
    assert ids(store) == ids(before) == ["a", "b"]
    assert world.keys(made, "keys") == []
    store.create_snapshot("demo", "words", "monday")
    restored = store.restore("demo", "words", "monday", "again")
    assert restored.sealed
    assert ids(world.node(), "again") == ["a", "b"]
    assert all(body.startswith((b"ANFL\x02", b"ANFL\x01")) for body in world.objects.objects.values())
    sealed_ones = [world.objects.objects[key][4] for f in ("parts", "snapshots") for key in world.keys(restored, f)]
    assert set(sealed_ones) == {2}


def test_what_comes_from_a_sealed_collection_is_sealed_whatever_the_setting(
    world: World, store: VectorStore, words: Collection
) -> None:
    store.create_snapshot("demo", "words", "monday")
    off = world.node(catalogue=Catalogue(world.table, seals=False))
    assert off.restore("demo", "words", "monday", "again").sealed
    assert not off.create("demo", NAMES)[0].sealed
    assert words.sealed


def test_what_was_restored_needs_no_key_of_what_it_was_made_from(
    world: World, store: VectorStore, words: Collection
) -> None:
    store.create_snapshot("demo", "words", "monday")
    store.restore("demo", "words", "monday", "again")
    store.delete("demo", "words")
    assert world.keys(words, "keys") == []
    assert ids(world.node(), "again") == ["a", "b"]


def test_each_day_has_a_key_of_its_own(world: World, store: VectorStore, words: Collection) -> None:
    world.time.advance(DAY)
    store.write("demo", "words", upsert(("c", (3, 3))))
    store.write("demo", "words", upsert(("d", (4, 4))))
    names = [key.partition("/keys/")[2] for key in world.keys(words, "keys")]
    assert names == ["00000001/1970-01-12", "00000001/1970-01-13"]
    assert ids(world.node()) == ["a", "b", "c", "d"]


@pytest.mark.usefixtures("words")
def test_without_vault_what_is_in_memory_goes_on_and_the_rest_is_503(world: World, store: VectorStore) -> None:
    world.transit.away = True
    assert store.write("demo", "words", upsert(("c", (3, 3)))).sequence == "1.2"
    assert ids(store) == ["a", "b", "c"]
    cold = world.node()
    unavailable = (503, "key_unavailable")
    assert code_of(lambda: ids(cold)) == unavailable
    assert code_of(lambda: cold.write("demo", "words", upsert(("d", (4, 4))))) == unavailable
    store.create("demo", NAMES)
    assert code_of(lambda: store.write("demo", "names", upsert(("a", (1, 1))))) == unavailable
    assert not any(key.startswith("demo/names/") for key in world.objects.objects)
    assert world.events.damages == []
    world.transit.away = False
    assert ids(cold) == ["a", "b", "c"]
    assert cold.write("demo", "words", upsert(("d", (4, 4)))).sequence == "1.3"
    assert store.write("demo", "names", upsert(("a", (1, 1)))).sequence == "1.1"


def test_a_day_that_begins_while_vault_is_away_is_sealed_by_the_key_of_the_day_before(
    world: World, store: VectorStore, words: Collection
) -> None:
    world.time.advance(DAY - world.time.seconds % DAY - 60)
    store.write("demo", "words", upsert(("c", (3, 3))))
    world.transit.away = True
    world.time.advance(120)
    store.write("demo", "words", upsert(("d", (4, 4))))
    assert ids(store) == ["a", "b", "c", "d"]
    assert len(world.keys(words, "keys")) == 1, "none for the new day"
    world.time.advance(KEPT_SECONDS - 120)
    refused = code_of(lambda: store.write("demo", "words", upsert(("a", (5, 5)))))
    assert refused == (503, "key_unavailable"), "an hour after Vault was last there"
    world.transit.away = False
    store.write("demo", "words", upsert(("a", (5, 5))))
    assert len(world.keys(words, "keys")) == 2
    assert ids(world.node()) == ["a", "b", "c", "d"], "who opens it asks for the key that it names"


def test_an_outage_of_vault_leaves_nothing_half_applied(world: World, store: VectorStore, words: Collection) -> None:
    world.time.advance(DAY)
    world.transit.away = True
    change = upsert(("c", (3, 3)), request_id="second")
    for _ in range(2):
        assert code_of(lambda: store.write("demo", "words", change)) == (503, "key_unavailable")
    assert ids(store) == ["a", "b"]
    assert len(world.keys(words, "log")) == len(world.keys(words, "keys")) == 1
    world.transit.away = False
    assert store.write("demo", "words", change).sequence == "1.2"
    assert store.write("demo", "words", change).sequence == "1.2"
    assert ids(world.node()) == ["a", "b", "c"]


def test_a_snapshot_is_whole_or_not_there_when_vault_goes_away_meanwhile(world: World, words: Collection) -> None:
    world.time.advance(2 * DAY)  # whose key no process has, nor that of the day before
    builder = Builder(world.storage(), policy=SnapshotPolicy(batches=1))
    unwrap = world.transit.unwrap

    def once(wrapped: str, context: str) -> bytes:
        world.transit.away = True
        return world.transit.peek(wrapped, context)

    world.transit.unwrap = once  # type: ignore[method-assign]
    assert code_of(lambda: builder.build(words)) == (503, "key_unavailable")
    assert world.keys(words, "snapshots") == []
    world.transit.unwrap = unwrap  # type: ignore[method-assign]
    world.transit.away = False
    builder.build(words)
    assert len(world.keys(words, "snapshots")) == 1
    assert ids(world.node()) == ["a", "b"]


def test_a_region_whose_vault_lacks_the_version_answers_503(world: World, words: Collection) -> None:
    world.transit.forget(1)
    assert code_of(lambda: ids(world.node())) == (503, "key_unavailable")
    assert world.events.damages == []
    assert words.sealed


def test_a_process_without_a_vault_does_not_touch_a_sealed_collection(world: World, words: Collection) -> None:
    blind = VectorStore(world.catalogue, world.storage(unsealed=True))
    assert code_of(lambda: ids(blind)) == (503, "key_unavailable")
    assert code_of(lambda: blind.write("demo", "words", upsert(("c", (3, 3))))) == (503, "key_unavailable")
    assert len(world.keys(words, "log")) == 1


def lose(world: World, key: str) -> None:
    del world.objects.objects[key]


def alter(world: World, key: str) -> None:
    data = world.objects.objects[key]
    world.objects.objects[key] = data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]


def forge(world: World, key: str) -> None:
    world.objects.objects[key] = packed(key, world.transit.generate("another place").wrapped)


def rename(world: World, key: str) -> None:
    wrapped = unpacked(key, world.objects.objects[key])
    world.objects.objects[key] = packed(key, "vault:v1:" + wrapped.rpartition(":")[2][:-8] + "AAAAAAA=")


@pytest.mark.parametrize("befall", [lose, alter, forge, rename])
def test_a_wrapped_key_that_is_missing_or_not_what_it_was_is_damage(
    world: World, store: VectorStore, words: Collection, befall: Callable[[World, str], None]
) -> None:
    (key,) = world.keys(words, "keys")
    befall(world, key)
    cold = world.node()
    corrupt = (503, "log_corrupt")
    assert code_of(lambda: ids(cold)) == corrupt
    assert code_of(lambda: cold.write("demo", "words", upsert(("c", (3, 3))))) == corrupt
    assert len(world.keys(words, "log")) == 1
    assert world.events.damages
    assert (key in world.objects.objects) is (befall is not lose), "no other key takes its place"
    assert ids(store) == ["a", "b"], "who has it in memory goes on"


@pytest.mark.parametrize("befall", [lose, alter, forge, rename])
def test_a_wrapped_key_comes_back_from_its_version(
    world: World, words: Collection, befall: Callable[[World, str], None]
) -> None:
    (key,) = world.keys(words, "keys")
    whole = world.objects.objects[key]
    world.objects.replaced[key] = [b"an older one that is of no use", whole]
    befall(world, key)
    other = world.node()
    assert other.write("demo", "words", upsert(("c", (3, 3)))).sequence == "1.2"
    assert world.objects.objects[key] == whole
    assert ids(world.node()) == ["a", "b", "c"]


def test_a_wrapped_key_that_is_gone_comes_back_from_another_region_where_something_is_sealed_by_it() -> None:
    store, time = SimulatedStore(), SimulatedTime()
    elsewhere = Elsewhere(store, [packed("place", "wrapped")])
    repairs = Repairs(store, elsewhere=elsewhere, monotonic=lambda: time.seconds)
    keys = ObjectKeys(store, repairs)
    assert keys.read("place", str.encode, expected=False) is None
    time.advance(ARRIVAL_SECONDS)
    assert keys.read("place", str.encode, expected=False) is None
    assert elsewhere.asked == [], "of a day on which nothing was sealed yet"
    assert keys.read("place", str.encode, expected=True) is None
    time.advance(ARRIVAL_SECONDS)
    assert keys.read("place", str.encode, expected=True) is None
    assert keys.read("place", str.encode, expected=True) == b"wrapped"
    assert elsewhere.asked == ["place"]
    assert store.get("place") == packed("place", "wrapped")


def test_a_damaged_batch_comes_back_from_its_version_sealed(world: World, words: Collection) -> None:
    (key,) = world.keys(words, "log")
    whole = world.objects.objects[key]
    world.objects.put(key, b"damaged")
    assert ids(world.node()) == ["a", "b"]
    assert world.objects.objects[key] == whole


def test_what_a_node_keeps_of_the_log_is_sealed(store: VectorStore, words: Collection) -> None:
    store.write("demo", "words", upsert(("c", (3, 3)), metadata={"canary": "canary"}))
    folder = store.storage.node.path / words.incarnation / "log"
    kept = [path.read_bytes() for path in Path(folder).iterdir()]
    assert len(kept) == 2
    assert all(body.startswith(b"ANFL\x02") and b"canary" not in body for body in kept)


def test_counts_and_cleaning_work_on_sealed_snapshots(world: World, store: VectorStore, words: Collection) -> None:
    for number in range(4):
        store.write("demo", "words", upsert((f"r{number}", (1, number))))
        world.snapshot(words)
        world.time.advance(2 * 3600.0)
    world.time.advance(9 * DAY)
    world.storage().retention(words).clean(now=world.time.seconds)
    assert len(world.keys(words, "snapshots")) == 2
    assert world.keys(words, "keys")
    assert world.node().count("demo", "words", Count(consistency="strong")).count == 6


def test_a_process_that_is_to_seal_needs_a_vault(world: World) -> None:
    settings = build.Settings(table="catalogue", bucket="vectors", seals=True, auth_table="auth")
    with pytest.raises(MissingSettingError, match="VAULT_ADDR"):
        build.envelopes_of(settings, world.objects, repairs=Repairs(world.objects), part=Service.VECTOR_STORE)
    off = msgspec.structs.replace(settings, seals=False)
    envelopes = build.envelopes_of(off, world.objects, repairs=Repairs(world.objects), part=Service.VECTOR_STORE)
    assert isinstance(envelopes, Unsealed)
