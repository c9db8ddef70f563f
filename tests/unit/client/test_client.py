"""The typed client against the real service: exact values, and one effect of every write however badly it travels."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from anfl.client import (
    ApiError,
    AsyncClient,
    BusyError,
    Client,
    Collection,
    ConflictError,
    NewRow,
    NotFoundError,
    Patch,
    UnreachableError,
    UnsendableError,
    new_rows,
)
from anfl.client.calls import Call
from anfl.client.retries import ATTEMPTS
from anfl.client.rows import BATCH_BYTES, batches
from anfl.client.session import Session
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.imports.imports import Imports
from anfl.vectors.model import IndexSettings
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.store import VectorStore
from services.vector_store.app import assemble
from tests.unit.client.conftest import TOKEN, FaultyWay
from tests.unit.vectors.builders import storage
from tests.unit.vectors.importing import Door, Place
from tests.unit.vectors.serving import PlainTokens, served

PAGE = Path(__file__).resolve().parents[3] / "docs" / "client.md"
AWKWARD = np.array([[1.1, -0.0], [1e-12, 3.0e9]], dtype=np.float32)


@pytest.fixture(name="words")
def _words(client: Client) -> Collection:
    words = client.create_collection("words", dimension=2, metric="l2", fields={"n": "number"})
    words.upsert(new_rows(["a", "b"], AWKWARD, [{"n": 1}, {"text": "two\u2028lines"}]))
    return words


def test_values_come_back_bit_by_bit_on_every_way(words: Collection) -> None:
    fetched = words.fetch(["a", "b"])
    matched = sorted(words.query([0, 0], k=2, include=["values"]), key=lambda match: match.id)
    many = [matches[0] for matches in words.query_many(AWKWARD, k=1, include=["values"])]
    scrolled = list(words.scroll(include=["values"], limit=1))
    exported = list(words.export())
    ways: list[list[Any]] = [fetched, matched, many, scrolled, exported]
    for found in ways:
        assert [row.id for row in found] == ["a", "b"]
        for row, values in zip(found, AWKWARD, strict=True):
            assert row.values is not None
            assert row.values.tobytes() == values.tobytes()
    assert exported[1].metadata == {"text": "two\u2028lines"}
    assert words.query(id="a", k=5, max_distance=1e9) == []


def test_everything_else_that_a_collection_can(client: Client, words: Collection) -> None:
    assert client.create_collection("words", dimension=2, metric="l2", fields={"n": "number"}).name == "words"
    assert [found.name for found in client.collections()] == ["words"]
    assert words.patch([Patch(id="a", metadata={"n": 7})]).patched == 1
    assert words.count({"n": 7}) == words.count(consistency="strong") - 1 == 1
    assert words.update(ef_search=99).index == words.describe().index == IndexSettings(ef_search=99)
    assert words.update(fields={"n": "number", "text": "string"}).fields == words.wait().fields
    assert words.wait().fields == {"n": "number", "text": "string"}
    assert (words.stats().rows, words.warm().status) == (2, "loaded")
    assert words.delete(where={"n": 7}).deleted == 1
    assert words.delete(["b", "absent"]).deleted == 1
    words.delete_collection()
    with pytest.raises(NotFoundError):
        words.describe()


def test_names_of_all_pages_are_listed(client: Client, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Catalogue._page

    def short(self: Catalogue, tenant: str, member: str, *, limit: int, after: str | None) -> Any:
        return page(self, tenant, member, limit=min(limit, 2), after=after)

    monkeypatch.setattr(Catalogue, "_page", short)
    names = [f"n{number}" for number in range(5)]
    for name in names:
        client.create_collection(name, dimension=2)
        client.set_alias(f"{name}-alias", name)

    async def asked() -> tuple[list[str], list[str]]:
        async with AsyncClient(url, token=TOKEN) as other:
            return [each.name for each in await other.collections()], [each.alias for each in await other.aliases()]

    aliases = [f"{name}-alias" for name in names]
    assert ([each.name for each in client.collections()], [each.alias for each in client.aliases()]) == (names, aliases)
    assert asyncio.run(asked()) == (names, aliases)


def test_aliases_and_snapshots(client: Client, words: Collection) -> None:
    assert client.set_alias("live", "words").collection == "words"
    live = client.collection("live")
    made = live.create_snapshot("monday")
    live.delete(["a"])
    assert [row.id for row in words.restore("monday", "again").scroll()] == ["a", "b"]
    assert client.set_alias("live", "again") == client.aliases()[0]
    assert live.count() == 2
    assert words.snapshots() == [made]
    with pytest.raises(ConflictError, match="snapshot_exists"):
        words.create_snapshot("monday")
    words.delete_snapshot("monday")
    client.delete_alias("live")
    assert (words.snapshots(), client.aliases()) == ([], [])


def test_what_cannot_be_done_twice_is_asked_once(client: Client, words: Collection, way: FaultyWay) -> None:
    """Were it repeated, the answer would be that somebody has the name."""
    way.faults = ["answer lost"]
    with pytest.raises(UnreachableError):
        words.create_snapshot("monday")
    way.faults = ["answer lost"]
    with pytest.raises(UnreachableError):
        words.restore("monday", "again")
    assert [found.name for found in words.snapshots()] == ["monday"]
    assert client.collection("again").count() == 2
    way.faults = ["answer lost"]
    words.delete_snapshot("monday")
    client.set_alias("live", "words")
    way.faults = ["answer lost"]
    client.delete_alias("live")
    assert (words.snapshots(), client.aliases()) == ([], [])


def test_the_asynchronous_client_does_the_same(url: str) -> None:
    async def tour() -> None:
        async with AsyncClient(url, token=TOKEN) as client:
            words = await client.create_collection("words", dimension=2, metric="l2")
            told: list[int] = []
            rows = new_rows(["a", "b"], AWKWARD, [{"n": 1}, {}])
            assert await words.load(rows, batch_rows=1, progress=told.append) == 2
            assert told == [1, 2]
            [found] = await words.fetch(["b"])
            assert found.values is not None
            assert found.values.tobytes() == AWKWARD[1].tobytes()
            answers = await asyncio.gather(*(words.query(row, k=1) for row in AWKWARD))
            assert [matches[0].id for matches in answers] == ["a", "b"]
            assert [matches[0].id for matches in await words.query_many(AWKWARD, k=1)] == ["a", "b"]
            assert [row.id async for row in words.scroll(limit=1)] == ["a", "b"]
            assert [row.id async for row in words.export(where={"n": 1})] == ["a"]
            await words.update(fields={"n": "number"})
            assert (await words.wait()).fields == {"n": "number"}
            assert (await words.patch([Patch(id="a", metadata={"n": 2})])).patched == 1
            assert await words.count({"n": 2}) == 1
            assert (
                (await words.update(ef_search=9)).index == (await words.describe()).index == IndexSettings(ef_search=9)
            )
            assert ((await words.stats()).rows, (await words.warm()).status) == (2, "loaded")
            assert (await words.create_snapshot("monday")) == (await words.snapshots())[0]
            again = await words.restore("monday", "again")
            assert [row.id async for row in again.scroll()] == ["a", "b"]
            await again.delete_collection()
            await words.delete_snapshot("monday")
            assert (await client.set_alias("live", "words")) == (await client.aliases())[0]
            await client.delete_alias("live")
            assert (await words.delete(["a"])).deleted == 1
            assert [found.name for found in await client.collections()] == ["words"]
            await words.delete_collection()
            with pytest.raises(NotFoundError):
                await words.describe()

    asyncio.run(tour())


@pytest.mark.parametrize("fault", ["lost", "answer lost", "twice", httpx.Response(503), httpx.Response(429)])
def test_every_write_has_one_effect(words: Collection, way: FaultyWay, fault: Any) -> None:
    def with_fault(faults: int = 2) -> None:
        way.faults = [fault] * faults

    with_fault()
    written = words.upsert([NewRow(id="c", values=[1, 1])])
    with_fault()
    assert words.patch([Patch(id="c", metadata={"n": 1})]).patched == 1
    [row] = words.fetch(["c"])
    assert row.version == int(written.sequence.partition(".")[2]) + 1
    with_fault()
    assert words.delete(["c"]).deleted == 1
    with_fault()
    assert words.load([NewRow(id=str(n), values=[n, 1]) for n in range(5)], batch_rows=2) == 5
    assert words.count() == 7
    if fault != "twice":  # the second of two deletions finds nothing
        with_fault(1)
        words.delete_collection()


@pytest.mark.parametrize(("fault", "is_done"), [("answer lost", True), (httpx.Response(429), False)])
def test_what_is_absent_was_deleted_only_where_an_earlier_attempt_may_have_done_it(
    client: Client, way: FaultyWay, fault: Any, is_done: bool
) -> None:
    way.faults = [fault]
    gone = client.collection("never")
    if is_done:
        gone.delete_collection()
    else:
        with pytest.raises(NotFoundError):
            gone.delete_collection()


def test_the_wait_is_what_the_server_asks_for_and_bounded(
    words: Collection, way: FaultyWay, waited: list[float]
) -> None:
    way.faults = [httpx.Response(503, headers={"retry-after": "3"}), httpx.Response(429, headers={"retry-after": "99"})]
    words.count()
    assert waited == [3.0, 10.0]


def test_attempts_end(words: Collection, way: FaultyWay) -> None:
    way.faults = [httpx.Response(503, json={"code": "busy", "detail": "later"})] * 99
    before = len(way.seen)
    with pytest.raises(BusyError) as caught:
        words.count()
    assert (caught.value.code, len(way.seen) - before) == ("busy", ATTEMPTS)
    way.faults = ["lost"] * 99
    with pytest.raises(UnreachableError):
        words.count()


def test_an_error_says_all_that_the_api_said(words: Collection) -> None:
    with pytest.raises(ApiError) as caught:
        words.query([1, 2, 3])
    assert (caught.value.status, caught.value.code, caught.value.field) == (400, "invalid_request", "vector")
    assert caught.value.request_id
    with pytest.raises(ConflictError, match="version_conflict"):
        words.upsert([NewRow(id="a", values=[1, 1], if_version=0)])


def test_what_makes_no_sense_is_not_even_sent(words: Collection, way: FaultyWay) -> None:
    before = len(way.seen)
    with pytest.raises(ValueError, match="either a vector or the id"):
        words.query()
    with pytest.raises(ValueError, match="one row of values"):
        words.load(new_rows(["a"], [[1, 2], [3, 4]]))
    with pytest.raises(ValueError, match="a request takes"):
        words.load([], batch_rows=1001)
    dates = np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[D]")
    no_vectors: list[Any] = [
        [[1, 2]],
        1,
        [1j, 1],
        ["1", "2"],
        [b"1", b"2"],
        dates,
        [10**400, 1],
        [object(), 1],
        [None, 1],
    ]
    for values in no_vectors:
        with pytest.raises(ValueError, match="row of real numbers"):
            words.upsert([NewRow(id="c", values=values)])
        with pytest.raises(ValueError, match="row of real numbers"):
            words.query(values)
    assert len(way.seen) == before


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("ask", "named"),
    [
        (lambda words: words.delete(where={"n": NAN}), "filter.n"),
        (lambda words: words.count({"n": np.float32(NAN)}), "filter.n"),
        (lambda words: words.count({"$or": [{"n": 1}, {"n": {"$lt": INFINITY}}]}), "filter.$or[1].n.$lt"),
        (lambda words: words.query([1, 1], where={"n": NAN}), "filter.n"),
        (lambda words: words.query([1, 1], max_distance=NAN), "max_distance"),
        (lambda words: list(words.scroll(where={"n": NAN})), "filter.n"),
        (lambda words: list(words.export(where={"n": NAN})), "filter.n"),
        (lambda words: words.upsert([NewRow(id="c", values=[1, 1], metadata={"n": NAN})]), "row 'c': metadata.n"),
        (lambda words: words.load([{"id": "c", "values": [1, 1], "metadata": {"n": [NAN]}}]), "row 'c': metadata.n[0]"),
        (lambda words: words.upsert([NewRow(id="c", values=[1, 1], expires_at=NAN)]), "row 'c': expires_at"),
        (lambda words: words.load([{"id": "c", "values": [1, 1], "if_version": INFINITY}]), "row 'c': if_version"),
        (lambda words: words.patch([Patch(id="a", metadata={"n": NAN})]), "row 'a': metadata.n"),
    ],
)
def test_what_is_no_number_in_json_is_not_sent_as_null(
    words: Collection, way: FaultyWay, ask: Callable[[Collection], object], named: str
) -> None:
    """A row without the field is another row, and a filter by null finds those: to be deleted, perhaps."""
    before = len(way.seen)
    with pytest.raises(ValueError, match=f"^{re.escape(named)} is NaN or infinite"):
        ask(words)
    assert len(way.seen) == before


@pytest.mark.parametrize(
    "ask",
    [
        lambda words: words.upsert([NewRow(id="\ud800", values=[1, 1])]),
        lambda words: words.load([NewRow(id="\ud800", values=[1, 1])]),
        lambda words: words.fetch(["\ud800"]),
        lambda words: words.count({"n": "\ud800"}),
        lambda words: list(words.scroll(where={"n": "\ud800"})),
    ],
)
def test_half_a_character_is_not_sent(words: Collection, way: FaultyWay, ask: Callable[[Collection], object]) -> None:
    before = len(way.seen)
    with pytest.raises(UnsendableError, match=r"cannot be sent.*surrogates"):
        ask(words)
    assert len(way.seen) == before


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_an_address_holds_no_password(client: type[Client | AsyncClient]) -> None:
    """It would be sent in place of the token, and stand in whatever says that the address does not answer."""
    with pytest.raises(UnsendableError, match="user name or password") as caught:
        client("https://somebody:canary@api.example.org", token="t")
    assert "canary" not in str(caught.value)


def test_what_json_has_not_is_named(words: Collection, way: FaultyWay) -> None:
    before = len(way.seen)
    with pytest.raises(UnsendableError, match=r"^row 'c' cannot be sent.*complex"):
        words.load([NewRow(id="c", values=[1, 1], metadata={"n": 1j})])  # type: ignore[dict-item]
    with pytest.raises(UnsendableError, match=r"cannot be sent.*ndarray"):
        words.count({"n": np.ones(2)})
    assert len(way.seen) == before


def test_scalars_of_numpy_are_what_python_calls_them(words: Collection) -> None:
    """Ids from an array of text, metadata and expiries that were computed: they were refused, each by a TypeError."""
    ids = np.array(["x", "y"])
    metadata: Any = {"n": np.int64(7), "half": np.float32(0.5), "wide": np.longdouble(2), "on": np.True_, "t": [ids[0]]}
    rows = [NewRow(id=each, values=[1, 1], metadata=metadata, expires_at=np.float64(4e9)) for each in ids]
    words.upsert(rows)
    words.load(rows)
    assert [row.metadata for row in words.fetch(list(ids))] == [
        {"n": 7, "half": 0.5, "wide": 2.0, "on": True, "t": ["x"]}
    ] * 2
    assert words.count({"n": np.int64(7)}) == 2
    assert len(list(words.scroll(where={"half": {"$gt": np.float16(0.25)}}))) == 2


def test_a_position_goes_with_reads_of_its_own_collection(client: Client, words: Collection, way: FaultyWay) -> None:
    other = client.create_collection("other", dimension=2)
    words.count()
    assert json.loads(way.seen[-1].content)["min_sequence"] == client.session.position("words") == "1.1"
    other.count()
    assert "min_sequence" not in json.loads(way.seen[-1].content)
    list(words.scroll())
    assert way.seen[-1].url.params["min_sequence"] == "1.1"
    words.count(min_sequence="1.0")
    assert json.loads(way.seen[-1].content)["min_sequence"] == "1.0"


def test_who_wrote_sees_it_on_another_node(catalogue: Catalogue, objects: S3ObjectStore, imports: Imports) -> None:
    """Two nodes that know nothing of each other, and a balancer that takes turns."""
    nodes = [VectorStore(catalogue, storage(objects, clock=Clock())) for _ in range(2)]
    with (
        served(assemble(nodes[0], imports, verifier=PlainTokens())) as one,
        served(assemble(nodes[1], imports, verifier=PlainTokens())) as other,
        Client(one, token=TOKEN) as here,
        Client(other, token=TOKEN) as there,
    ):
        there.session = here.session
        words, far = here.create_collection("words", dimension=2, metric="l2"), there.collection("words")
        for number in range(5):
            words.upsert([NewRow(id=str(number), values=[number, 1])])
            assert far.count() == number + 1
            assert far.query([number, 1], k=1)[0].id == str(number)
    for node in nodes:
        node.close()


def test_a_position_of_a_history_that_was_given_up_is_forgotten_once(client: Client, words: Collection) -> None:
    client.session._positions["words"] = "7.3"
    assert words.count() == 2
    assert client.session.position("words") == "1.1"
    with pytest.raises(ConflictError, match="history_lost"):
        words.count(min_sequence="7.3")


@pytest.mark.parametrize("before", ["7.3", "0.0"])
@pytest.mark.parametrize("after", ["1.1", "0.0"])
def test_the_position_is_that_of_the_last_write_whatever_the_name_stood_for_before(before: str, after: str) -> None:
    """Positions of two histories are neither earlier nor later than each other; who writes reaches the present one."""
    session = Session()

    def answered(sequence: str, *, fresh: bool) -> None:
        call = Call(method="POST", path="/", read=bytes, collection="live", fresh=fresh)
        session.note(call, json.dumps({"sequence": sequence}).encode())

    answered(before, fresh=True)
    answered(after, fresh=False)
    answered(before, fresh=True)  # was under way meanwhile
    assert session.position("live") == after


def test_batches_end_at_rows_and_at_bytes(tmp_path: Path) -> None:
    np.save(tmp_path / "values.npy", np.zeros((1_200, 4096), dtype=np.float16))
    values = np.load(tmp_path / "values.npy", mmap_mode="r")
    found = list(batches(new_rows([str(n) for n in range(1_200)], values), size=500))
    assert sum(map(len, found)) == 1_200
    assert len(found) > 3
    assert all(sum(len(bytes(row)) for row in batch) <= BATCH_BYTES for batch in found)
    assert [len(batch) for batch in batches(({"id": str(n)} for n in range(7)), size=3)] == [3, 3, 1]


def test_an_export_comes_in_pages_of_which_each_is_asked_for_again(words: Collection, way: FaultyWay) -> None:
    """API Gateway passes 10 MB on: one answer with every row gets through it only where these are few."""
    words.load(new_rows([f"r{number:04}" for number in range(1_500)], np.ones((1_500, 2))))
    before = len(way.seen)
    rows = words.export()
    assert next(rows).id == "a"
    way.faults.append("answer lost")
    assert [row.id for row in rows] == ["b", *(f"r{number:04}" for number in range(1_500))]
    assert len(way.seen) == before + 3


def test_the_examples_of_the_documentation(
    url: str, place: Place, door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anfl.vectors.imports.files.PART_BYTES", 5 * 2**20)
    monkeypatch.setattr("anfl.client.imports.sleep", lambda _seconds: place.work())
    assert door.seen == []
    blocks = PAGE.read_text().split("```python\n")[1:]
    assert len(blocks) >= 4
    names: dict[str, Any] = {"ENDPOINT": url, "TOKEN": TOKEN, "FOLDER": tmp_path}
    for block in blocks:
        exec(compile(block.partition("```")[0], str(PAGE), "exec"), names)  # noqa: S102 - our own page
