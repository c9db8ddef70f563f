"""Owners of collections: two each, evenly spread, and nothing moves that need not."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anfl.nodes.rendezvous import OWNERS, owners

NODES = st.lists(st.text(min_size=1, max_size=24), min_size=1, max_size=12, unique=True)
KEYS = [f"{number:032x}" for number in range(4000)]


@given(st.text(), NODES, st.randoms(use_true_random=False))
def test_whoever_knows_the_same_nodes_names_the_same_two_owners(key: str, nodes: list[str], random: object) -> None:
    shuffled = list(nodes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' own
    found = owners(key, nodes)
    assert found == owners(key, shuffled)
    assert len(set(found)) == len(found) == min(OWNERS, len(nodes))
    assert set(found) <= set(nodes)


@given(st.text(), NODES)
def test_a_node_that_goes_moves_nothing_but_what_it_owned(key: str, nodes: list[str]) -> None:
    before = owners(key, nodes)
    for gone in nodes:
        after = owners(key, [node for node in nodes if node != gone])
        if gone not in before:
            assert after == before
        else:
            assert after[: len(before) - 1] == tuple(node for node in before if node != gone)


@given(st.text(), NODES, st.text(min_size=25, max_size=30))
def test_a_node_that_comes_replaces_the_last_owner_at_most(key: str, nodes: list[str], new: str) -> None:
    before, after = owners(key, nodes), owners(key, [*nodes, new])
    assert new in after or after == before
    assert tuple(node for node in after if node != new) == before[: len(after) - (new in after)]


@pytest.mark.parametrize("count", [3, 5, 10])
def test_collections_are_spread_evenly_and_a_new_node_takes_its_share(count: int) -> None:
    nodes = [f"10.0.10.{number}:8080" for number in range(count)]
    load = Counter(node for key in KEYS for node in owners(key, nodes))
    fair = OWNERS * len(KEYS) / count
    assert all(0.85 * fair < load[node] < 1.15 * fair for node in nodes)
    new = "10.0.11.1:8080"
    taken = sum(new in owners(key, [*nodes, new]) for key in KEYS)
    assert 0.85 < taken / (OWNERS * len(KEYS) / (count + 1)) < 1.15
