"""Where requests go: known for nearly all of them without asking anybody."""

import asyncio
from collections.abc import Sequence

from anfl.nodes.rendezvous import owners
from anfl.nodes.routes import ANYWHERE, HERE, KNOWN_SECONDS, Route, Routes
from anfl.nodes.shared import NOBODY, Members

NODES = tuple(f"10.0.10.{number}:8080" for number in range(1, 6))


class Names:
    """Two names of one collection, and how often the catalogue was asked."""

    def __init__(self, *, in_memory: bool = False) -> None:
        self.asked: list[str] = []
        self.in_memory = in_memory

    def known(self, _tenant: str, name: str) -> str | None:
        return self._of(name) if self.in_memory else None

    def find(self, _tenant: str, name: str) -> str | None:
        self.asked.append(name)
        return self._of(name)

    @staticmethod
    def _of(name: str) -> str | None:
        return {"words": "abc", "alias": "abc", "table": ANYWHERE}.get(name)


class Around:
    """Routes of the first node, beside whoever is there."""

    def __init__(self, names: Names, present: Sequence[str] = NODES, own: str = NODES[0]) -> None:
        self.members = Members(own, tuple(present), 1)
        self.time = 0.0
        self.routes = Routes(lambda: self.members, names, now=lambda: self.time)

    def route(self, name: str) -> Route:
        return self.routes.of("demo", name) or asyncio.run(self.routes.find("demo", name))


def expected(own: str, present: Sequence[str] = NODES) -> Route:
    found = owners("abc", present)
    return Route(here=own in found, others=tuple(each for each in found if each != own))


def test_all_nodes_send_a_collection_to_the_same_two_whichever_name_it_has() -> None:
    for own in NODES:
        around = Around(Names(), own=own)
        assert around.route("words") == around.route("alias") == expected(own)
    routes = [Around(Names(), own=own).route("words") for own in NODES]
    assert sum(route.here for route in routes) == 2
    assert {len(route.others) for route in routes} == {1, 2}


def test_what_no_node_has_in_memory_is_answered_where_it_is_asked() -> None:
    for own in NODES:
        names = Names()
        around = Around(names, own=own)
        assert [around.route("table") for _ in range(2)] == [HERE, HERE]
        assert names.asked == ["table"]


def test_the_catalogue_is_asked_once_in_a_while_and_not_for_what_is_in_memory() -> None:
    names = Names()
    around = Around(names)
    for _ in range(3):
        around.route("words")
    assert names.asked == ["words"]
    around.time += KNOWN_SECONDS + 1
    around.route("words")
    assert names.asked == ["words", "words"]
    loaded = Names(in_memory=True)
    assert Around(loaded).route("words") == expected(NODES[0])
    assert loaded.asked == []


def test_a_change_of_the_nodes_counts_at_once() -> None:
    around = Around(Names())
    gone = around.route("words").others[0]
    left = tuple(each for each in NODES if each != gone)
    around.members = Members(NODES[0], left, 2)
    assert around.route("words") == expected(NODES[0], left)
    around.members = NOBODY
    assert around.route("words") == HERE


def test_one_and_two_nodes_own_everything_and_ask_nobody() -> None:
    names = Names()
    assert Around(names, NODES[:1]).route("words") == HERE
    assert Around(names, NODES[:2]).route("words") == Route(here=True, others=(NODES[1],))
    assert names.asked == []


def test_a_node_that_others_do_not_see_owns_nothing() -> None:
    assert Around(Names(), NODES[1:3]).route("words").here is False


def test_what_the_catalogue_does_not_have_is_answered_here_and_not_remembered() -> None:
    names = Names()
    around = Around(names)
    assert around.route("nothing") == around.route("nothing") == HERE
    assert names.asked == ["nothing", "nothing"]
