"""Further names of collections: what they stand for, where they go, and how names are listed."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import pytest
from botocore.exceptions import EndpointConnectionError

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.model import Collection, CollectionSettings
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.requests import CollectionPatch, Count, Fetch, IndexPatch, NamePage
from anfl.vectors.store import VectorStore
from tests.unit.vectors.builders import storage, upsert
from tests.unit.vectors.test_named import OTHERS, ids
from tests.unit.vectors.test_store import WORDS, code_of


@pytest.fixture(autouse=True)
def _words(store: VectorStore) -> None:
    store.create("demo", WORDS)
    store.write("demo", "words", upsert(("a", (1, 1)), ("b", (2, 2))))


def test_an_alias_moves_at_once(store: VectorStore) -> None:
    store.create("demo", OTHERS)
    store.set_alias("demo", "live", "words")
    assert ids(store, "live") == ["a", "b"]
    assert store.set_alias("demo", "live", "others").collection == "others"
    assert ids(store, "live") == []
    store.write("demo", "live", upsert(("c", (1, 1))))
    assert ids(store, "others") == ["c"]
    assert [(each.alias, each.collection) for each in store.aliases("demo")[0]] == [("live", "others")]
    assert [each.name for each in store.collections("demo")[0]] == ["others", "words"]
    store.delete_alias("demo", "live")
    assert code_of(lambda: ids(store, "live")) == (404, "collection_not_found")


def test_other_nodes_follow_an_alias(store: VectorStore, catalogue: Catalogue, objects: S3ObjectStore) -> None:
    other = VectorStore(catalogue, storage(objects, clock=Clock()))
    store.create("demo", OTHERS)
    store.set_alias("demo", "live", "words")
    assert ids(other, "live") == ["a", "b"]
    store.set_alias("demo", "live", "others")
    assert ids(other, "live") == []
    other.close()


def test_a_name_is_an_alias_or_a_collection(store: VectorStore) -> None:
    assert code_of(lambda: store.set_alias("demo", "words", "words")) == (409, "collection_exists")
    assert code_of(lambda: store.set_alias("demo", "live", "absent")) == (404, "collection_not_found")
    store.set_alias("demo", "live", "words")
    assert code_of(lambda: store.set_alias("demo", "alive", "live")) == (404, "collection_not_found")
    live = CollectionSettings(name="live", dimension=2)
    assert code_of(lambda: store.create("demo", live)) == (409, "alias_exists")
    for call in (
        lambda: store.delete("demo", "live"),
        lambda: store.update("demo", "live", CollectionPatch(index=IndexPatch(ef_search=9))),
    ):
        assert code_of(call) == (404, "collection_not_found")
        with pytest.raises(Problem, match="live is an alias of words"):
            call()
    for name in ("absent", "words"):
        assert code_of(partial(store.delete_alias, "demo", name)) == (404, "alias_not_found")
    assert store.aliases("other") == ([], False)


def test_aliases_of_what_is_deleted_go_with_it(store: VectorStore) -> None:
    store.create("demo", OTHERS)
    for alias, name in (("live", "words"), ("next", "words"), ("else", "others")):
        store.set_alias("demo", alias, name)
    store.delete("demo", "words")
    assert [each.alias for each in store.aliases("demo")[0]] == ["else"]
    assert code_of(lambda: store.count("demo", "live", Count())) == (404, "collection_not_found")
    store.create("demo", CollectionSettings(name="live", dimension=2))
    store.create("demo", WORDS)
    assert code_of(lambda: store.count("demo", "next", Count())) == (404, "collection_not_found")


def test_a_deletion_that_stops_anywhere_can_be_done_again(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each of its calls of the table; what is left is the collection, or nothing."""
    delete_item = store.catalogue._entries._table.delete_item
    for most in range(4):
        store.create("demo", OTHERS)
        for alias in ("live", "next"):
            store.set_alias("demo", alias, "others")
        left = iter(range(most))

        def failing(left: Iterator[int] = left, **arguments: Any) -> Any:
            if next(left, None) is None:
                raise EndpointConnectionError(endpoint_url="dynamodb")
            return delete_item(**arguments)

        with monkeypatch.context() as patch:
            patch.setattr(store.catalogue._entries._table, "delete_item", failing)
            done = answered(lambda: store.delete("demo", "others"))
        assert done == (most == 3)
        assert answered(lambda: store.describe("demo", "others")) is not done
        for alias in ("live", "next"):
            assert not (answered(lambda: ids(store, alias)) and done)  # noqa: B023 - called at once
        if not done:
            store.delete("demo", "others")
        assert store.aliases("demo") == ([], False)


def test_an_alias_that_is_set_while_its_collection_is_deleted_goes_too(
    store: VectorStore, catalogue: Catalogue, objects: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = VectorStore(catalogue, storage(objects, clock=Clock()))
    entries, management = store.catalogue._entries, store._management
    put, take = entries.put, management._take_aliases

    def put_after_the_deletion(*arguments: Any, **named: Any) -> bool:
        patch.undo()
        other.delete("demo", "others")
        return put(*arguments, **named)

    def set_after_the_look(collection: Collection) -> None:
        patch.undo()
        take(collection)
        other.set_alias("demo", "live", "others")

    with monkeypatch.context() as patch:
        store.create("demo", OTHERS)
        patch.setattr(entries, "put", put_after_the_deletion)
        assert code_of(lambda: store.set_alias("demo", "live", "others")) == (404, "collection_not_found")
    assert store.aliases("demo") == ([], False)
    with monkeypatch.context() as patch:
        store.create("demo", OTHERS)
        patch.setattr(management, "_take_aliases", set_after_the_look)
        store.delete("demo", "others")
    assert store.aliases("demo") == ([], False)
    other.close()


@pytest.mark.parametrize("gone", [["others"], ["others", "words"]])
def test_an_alias_that_was_to_stand_for_what_is_deleted_meanwhile_stays_where_it_was(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch, gone: list[str]
) -> None:
    """Whoever asked was refused, and yet it stood for nothing from then on."""
    store.create("demo", OTHERS)
    store.set_alias("demo", "live", "words")

    def delete() -> None:
        for name in gone:
            store.delete("demo", name)
        if "words" not in gone:
            assert ids(store, "live") == ["a", "b"]

    during(monkeypatch, store.catalogue, "_lead", delete)
    assert code_of(lambda: store.set_alias("demo", "live", "others")) == (404, "collection_not_found")
    if "words" in gone:
        assert store.aliases("demo") == ([], False)
    else:
        assert ids(store, "live") == ["a", "b"]


def test_an_alias_that_is_left_stands_for_no_other_collection_of_that_name(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.set_alias("demo", "live", "words")
    with monkeypatch.context() as patch:
        patch.setattr(store._management, "_take_aliases", lambda _collection: None)  # as a process that ends there
        store.delete("demo", "words")
    store.create("demo", WORDS)
    assert code_of(lambda: store.count("demo", "live", Count())) == (404, "collection_not_found")
    store.set_alias("demo", "live", "words")
    assert ids(store, "live") == []


def test_an_alias_from_before_incarnations_were_noted_is_one(store: VectorStore) -> None:
    item = {"pk": "T#demo", "sk": "C#live", "alias_of": "words"}
    store.catalogue._entries._table.put_item(Item=item)
    assert ids(store, "live") == ["a", "b"]
    store.delete("demo", "words")
    assert store.aliases("demo") == ([], False)


def test_names_are_listed_page_by_page(store: VectorStore) -> None:
    names = sorted(["words", "a", "B", "a-b", "z_", *(f"n{number}" for number in range(9))])
    for name in names:
        if name != "words":
            store.create("demo", CollectionSettings(name=name, dimension=2))
        store.set_alias("demo", f"{name}-alias", name)
    for limit in (1, 3, 100):
        found, aliases = list[str](), list[str]()
        while True:
            page, more = store.collections("demo", NamePage(limit=limit, cursor=found[-1] if found else None))
            found += [each.name for each in page]
            if not more:
                break
            assert len(page) == limit
        while True:
            named, more = store.aliases("demo", NamePage(limit=limit, cursor=aliases[-1] if aliases else None))
            aliases += [each.alias for each in named]
            if not more:
                break
            assert len(named) == limit
        assert found == names
        assert aliases == sorted(f"{name}-alias" for name in names)
    assert store.collections("demo", NamePage(cursor="zz")) == ([], False)


def answered(call: Callable[[], Any]) -> bool:
    """Whether a call was carried out; a problem is a refusal."""
    try:
        call()
    except Problem:
        return False
    return True


@pytest.fixture(name="switched")
def _switched(store: VectorStore) -> Callable[[], None]:
    """Two collections of one row each; moves the alias from the first to the second, and deletes the first."""
    for name, row in (("blue", "old"), ("green", "new")):
        store.create("demo", msgspec.structs.replace(WORDS, name=name))
        store.write("demo", name, upsert((row, (1, 1))))
    store.set_alias("demo", "live", "blue")

    def switch() -> None:
        store.set_alias("demo", "live", "green")
        store.delete("demo", "blue")

    return switch


def during(monkeypatch: pytest.MonkeyPatch, of: object, call: str, happens: Callable[[], None]) -> None:
    """Have something happen once, before ``call``."""
    carried_out, left = getattr(of, call), [happens]

    def interrupted(*given: Any, **named: Any) -> Any:
        if left:
            left.pop()()
        return carried_out(*given, **named)

    monkeypatch.setattr(of, call, interrupted)


def shown(store: VectorStore, name: str) -> list[str]:
    return [row.id for row in store.fetch("demo", name, Fetch(ids=["old", "new"])).vectors]


def test_an_alias_never_stands_for_nothing_while_it_is_looked_up(
    store: VectorStore, catalogue: Catalogue, switched: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    during(monkeypatch, catalogue, "find", switched)
    assert catalogue.get("demo", "live").name == "green"
    assert shown(store, "live") == ["new"]


def test_who_reads_what_is_deleted_meanwhile_reads_what_the_alias_stands_for_then(
    catalogue: Catalogue,
    objects: S3ObjectStore,
    switched: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And nothing that is empty, or cut short, because its objects are being removed."""
    other = VectorStore(catalogue, storage(objects, clock=Clock()))
    during(monkeypatch, other.hnsw.opened, "get", switched)
    assert shown(other, "live") == ["new"]
    assert code_of(lambda: shown(other, "blue")) == (404, "collection_not_found")
    other.close()


def test_an_alias_may_move_again_while_a_reader_follows_it(
    catalogue: Catalogue,
    objects: S3ObjectStore,
    store: VectorStore,
    switched: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = VectorStore(catalogue, storage(objects, clock=Clock()))

    def switch_back() -> None:
        store.create("demo", msgspec.structs.replace(WORDS, name="blue"))
        store.set_alias("demo", "live", "blue")
        store.delete("demo", "green")

    get, left = other.hnsw.opened.get, [switch_back, switched]

    def interrupted(collection: Collection) -> Any:
        if left:
            left.pop()()
        return get(collection)

    monkeypatch.setattr(other.hnsw.opened, "get", interrupted)
    assert shown(other, "live") == []
    other.close()


def test_who_writes_to_what_is_deleted_meanwhile_writes_to_what_the_alias_stands_for_then(
    store: VectorStore, switched: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    [opened] = [each for each in store.hnsw.opened.loaded() if each.replica.collection.name == "blue"]
    during(monkeypatch, opened.writer, "write", switched)
    store.write("demo", "live", upsert(("newer", (1, 1))))
    assert store.count("demo", "green", Count()).count == 2
