"""Artefacts beside a model of them, while processes die around any write of bucket and table."""

import hashlib
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from anfl.problems import Problem
from anfl.registry.registry import Registry
from tests.unit.registry.conftest import items
from tests.unit.registry.mortality import DEATHS, PLACES, Death, Mortal
from tests.unit.registry.test_artifact_store import register, upload

FILES = st.sampled_from([f"{place}/{name}" for place in PLACES for name in ("weights", "config")])
CONTENTS = st.sampled_from([b"one", b"two", b""])


class Uploading(Mortal):
    """Files of two places, and versions of one model that name these."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.holders: dict[int, str] = {}
        """Version → place."""
        self.last = 0

    @initialize()
    def begin(self) -> None:
        super().begin()
        self.another().models.create("acme", "bert", by="ana")
        self.files = {f"{place}/weights": b"x" for place in PLACES}

    def is_frozen(self, path: str) -> bool:
        return any(path.startswith(f"{place}/") for place in self.holders.values())

    @rule(path=FILES, content=CONTENTS, death=DEATHS)
    def put(self, path: str, content: bytes, death: Death) -> None:
        done = self.run(death, lambda r: upload(r, path, content))
        assert done.refused == ("resource_conflict" if self.is_frozen(path) else None)
        if done.refused is None:
            self.files[path] = content

    @rule(path=FILES | st.sampled_from(PLACES), death=DEATHS)
    def remove(self, path: str, death: Death) -> None:
        """A file, or a whole place."""
        done = self.run(death, lambda r: r.store.delete("acme", path))
        assert done.refused == ("resource_conflict" if self.is_frozen(f"{path}/") else None)
        if done.refused is None:
            self.files = {name: body for name, body in self.files.items() if not f"{name}/".startswith(f"{path}/")}

    @rule(place=st.sampled_from(PLACES), death=DEATHS)
    def register(self, place: str, death: Death) -> None:
        done = self.run(death, lambda r: register(r, place))
        for _ in range(done.times):
            self.last += 1
            self.holders[self.last] = place

    @rule(data=st.data(), death=DEATHS)
    def unregister(self, data: st.DataObject, death: Death) -> None:
        if self.holders:
            number = data.draw(st.sampled_from(sorted(self.holders)))
            assert self.run(death, lambda r: r.versions.delete("acme", "bert", number, by="ana")).times == 1
            del self.holders[number]

    @invariant()
    def serves_what_was_uploaded(self) -> None:
        """With a checksum that is true, or (where nothing is frozen) none: never with another file's."""
        registry = self.another()
        for place in PLACES:
            for name in ("weights", "config"):
                path = f"{place}/{name}"
                assert served(registry, path) == self.files.get(path), path
        frozen = [item for item in items(self.dynamodb) if item["pk"]["S"] == "acme#locations"]
        assert {item["sk"]["S"] for item in frozen} == {*self.holders.values()}
        for place in self.holders.values():
            assert registry.store.checksums("acme", place) == {
                path: hashlib.sha256(body).hexdigest()
                for path, body in self.files.items()
                if path.startswith(f"{place}/")
            }


def served(registry: Registry, path: str) -> bytes | None:
    """What a download gives; it must have the checksum that is told with it."""
    try:
        found = registry.store.open("acme", path)
    except Problem as problem:
        if problem.status == 404:
            return None
        raise
    body: bytes = found.opened.body.read()
    assert found.sha256 in (None, hashlib.sha256(body).hexdigest())
    return body


@pytest.fixture(name="uploading")
def _uploading(parts: dict[str, Any]) -> type[Uploading]:
    return type("Machine", (Uploading,), parts)


def test_artefacts_are_whole_when_processes_die(uploading: type[Uploading]) -> None:
    run_state_machine_as_test(
        uploading,
        settings=settings(
            max_examples=4,
            stateful_step_count=15,
            deadline=None,
            phases=[Phase.generate],  # as in `test_crashes`
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        ),
    )
