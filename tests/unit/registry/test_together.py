"""Versions of models that were read again take the place of those that stood there."""

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from anfl.registry import glances, together
from anfl.registry.entities import Version
from anfl.registry.records import item_of

IDS = st.sampled_from([str(UUID(int=number << shift)) for shift in (0, 90, 124) for number in (1, 2, 9, 10, 15)])
HELD = st.dictionaries(IDS, st.integers(0, 12), max_size=6)
"""How many versions models have."""


def document(model_id: str, number: int, source: str) -> str:
    version = Version(model_id=model_id, number=number, created_at=1, updated_at=1, source=source, location="")
    written: str = item_of(version)["document"]
    return written


def documents(held: dict[str, int], source: str) -> list[str]:
    """As a query yields them."""
    return [document(key, number, source) for key in sorted(held) for number in range(1, held[key] + 1)]


@settings(deadline=None)
@given(before=HELD, again=HELD, gone=st.sets(IDS))
def test_versions_of_some_models_are_replaced(before: dict[str, int], again: dict[str, int], gone: set[str]) -> None:
    ids = again.keys() | gone
    expected = sorted(
        [each for each in documents(before, "before") if glances.versions([each])[0].model_id not in ids]
        + documents(again, "again")
    )
    rows, new = documents(before, "before"), documents(again, "again")
    assert sorted(together.replaced(rows, new, ids)) == expected
    found = together.replaced(glances.versions(rows), glances.versions(new), ids, told=lambda of: of.document)
    assert sorted(of.document for of in found) == expected
    assert [of.model_id for of in found] == sorted(of.model_id for of in found), "in the order of keys, as before"


def test_a_document_begins_with_its_model() -> None:
    """Records of other releases are found by that as well: it has to stay so."""
    assert document("m", 1, "s").startswith('{"model_id":"m","number":1,')
