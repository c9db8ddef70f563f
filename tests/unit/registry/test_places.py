"""Places in each other: whatever is sent, registered and deleted in whatever order, a version keeps its files."""

import uuid
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anfl.problems import Problem
from anfl.registry.registry import Registry
from tests.unit.registry.conftest import BUCKET
from tests.unit.registry.test_artifact_store import register, upload

FILES = ("m/w", "m/a/x", "m/a/y", "m/a/b/z", "m/a/b/late", "m/n")
PLACES = ("m", "m/a", "m/a/b", "m/a/x")
Step = tuple[str, str]
"""What is done, and where (a file, a place) or to which of the versions (by its number)."""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("upload", "link", "delete")), st.sampled_from(FILES)),
        st.tuples(st.sampled_from(("register", "register", "delete")), st.sampled_from(PLACES)),
        st.tuples(st.just("forget"), st.sampled_from("0123")),
    ),
    max_size=14,
)


def below(registry: Registry, tenant: str, path: str) -> dict[str, bytes]:
    """What a client downloads that asks for everything at ``path``, folder by folder."""
    found: dict[str, bytes] = {}
    for entry in registry.store.entries(tenant, path):
        inside = f"{path}/{entry.name}"
        if entry.size is None:
            found |= below(registry, tenant, inside)
        else:
            found[inside] = registry.store.open(tenant, inside).opened.body.read()
    return found or {path: registry.store.open(tenant, path).opened.body.read()}


class Versions:
    """The versions of a tenant, with what each had when it was registered."""

    def __init__(self, registry: Registry, s3: Any) -> None:
        self._registry = registry
        self._s3 = s3
        self._tenant = f"t{uuid.uuid4().hex}"
        self._written = 0
        self.expected: dict[int, tuple[str, dict[str, bytes]]] = {}
        registry.models.create(self._tenant, "bert", by="ana")

    def step(self, what: str, where: str) -> None:
        self._written += 1
        body = str(self._written).encode()
        match what:
            case "upload":
                upload(self._registry, where, body, tenant=self._tenant)
            case "link":
                if "Contents" not in self._s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{self._tenant}/{where}"):
                    self._s3.put_object(Bucket=BUCKET, Key=f"{self._tenant}/{where}", Body=body)
            case "delete":
                self._registry.store.delete(self._tenant, where)
            case "register":
                number = register(self._registry, where, tenant=self._tenant)
                self.expected[number] = where, self._now(where)
            case _:
                numbers = sorted(self.expected)[int(where) :][:1]
                for number in numbers:
                    self._registry.versions.delete(self._tenant, "bert", number, by="ana")
                    del self.expected[number]

    def _now(self, place: str) -> dict[str, bytes]:
        try:
            return below(self._registry, self._tenant, place)
        except Problem:  # nothing is there: a version without files
            return {}

    def check(self) -> None:
        for place, files in self.expected.values():
            assert self._now(place) == files, place


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_a_version_keeps_exactly_its_files(registry: Registry, s3: Any, steps: list[Step]) -> None:
    versions = Versions(registry, s3)
    for what, where in steps:
        try:
            versions.step(what, where)
        except Problem as problem:
            assert problem.status in {400, 409}  # noqa: PT017 - a frozen place, or one whose parent is a file
        versions.check()
