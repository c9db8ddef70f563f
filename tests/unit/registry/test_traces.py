"""Texts that documents are asked for before they are read: nothing that matches may be left out."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from anfl.registry import traces
from anfl.registry.entities import Version
from anfl.registry.filters import VERSION_ATTRIBUTES, Comparison, Filter, parse
from anfl.registry.records import item_of

# What is escaped, what lower case is not told by the character alone, and what a pattern or JSON means something by.
PIECES = st.sampled_from(
    [*'aAbKik"\\/\n\x0b\x1f\x7f%_:,[]{}', "ß", "İ", "Σ", "ς", "\u212a", "é", "\u2028", "😀", "null"]
)
TEXTS = st.lists(PIECES, max_size=5).map("".join)
NAMES = st.sampled_from(["k", "K", "k\n", 'k"', "Σk", "tags", "spilled", "run_id"])
TAGS = st.dictionaries(NAMES, TEXTS, max_size=3)
LITERALS = {"=", "!=", "LIKE", "ILIKE"}


@st.composite
def found(draw: st.DrawFn) -> tuple[Version, dict[str, str], Filter]:
    """A version, the tags that are too large to stand in it, and a filter for which it often holds."""
    tags, large = draw(TAGS), draw(TAGS)
    version = Version(
        model_id="m",
        number=draw(st.integers(1, 20)),
        created_at=1,
        updated_at=1,
        description=draw(st.none() | TEXTS),
        source=draw(TEXTS),
        location="",
        run_id=draw(st.none() | TEXTS),
        tags={key: value for key, value in tags.items() if key not in large},
        spilled=frozenset(large),
    )
    values = {"source_path": version.source, "run_id": version.run_id or "", **tags, **large}
    comparisons = []
    for _ in range(draw(st.integers(1, 3))):
        key = draw(st.sampled_from(["run_id", "source_path", "version_number", *sorted(tags | large), "none"]))
        is_tag = key in tags | large or key == "none"
        if key == "version_number" and not is_tag:
            operator, value = draw(st.sampled_from(["=", "!=", ">", "<="])), draw(st.integers(1, 20))
            comparisons.append(Comparison(key=key, is_tag=False, operator=operator, value=value))
            continue
        text = values.get(key, "")
        start, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        operator = draw(st.sampled_from(sorted(LITERALS)))
        if operator in ("LIKE", "ILIKE"):
            wildcard = draw(st.sampled_from(["%", "_", ""]))
            text = draw(st.sampled_from([f"%{text[start:end]}%", f"{text[:end]}%", f"%{text[start:]}", text]))
            text = text[:start] + wildcard + text[start + 1 :]
            text = draw(st.sampled_from([text, text.lower(), text.upper(), text.swapcase()]))
        elif draw(st.booleans()):
            text = draw(TEXTS)
        comparisons.append(Comparison(key=key, is_tag=is_tag, operator=operator, value=text))
    return version, large, Filter(comparisons=tuple(comparisons), prompts=False)


def document(version: Version) -> str:
    written: str = item_of(version)["document"]
    return written


def holds(version: Version, large: dict[str, str], condition: Filter) -> bool:
    """By a plain look."""
    attributes = {"run_id": version.run_id, "source_path": version.source, "version_number": version.number}
    return condition.holds(attributes, version.tags | large)


def of(text: str, value: str, *, tags: dict[str, str] | None = None) -> tuple[Version, dict[str, str], Filter]:
    version = Version(
        model_id="m", number=1, created_at=1, updated_at=1, source=value, location="", tags=tags or {"k": value}
    )
    return version, {}, parse(text, VERSION_ATTRIBUTES)


@settings(suppress_health_check=[HealthCheck.too_slow])  # drawing is, on a machine that is busy
@given(found())
@example(of("tags.k ILIKE '%σ'", "\nΣ"))
@example(of("tags.k ILIKE '%ος%'", "ΟΣ\n"))
@example(of("source_path ILIKE 'i%'", "İ"))
@example(of("source_path ILIKE 'k'", "\u212a"))
@example(of("tags.k LIKE '%\\%'", "\\"))
def test_no_document_that_matches_is_left_out(case: tuple[Version, dict[str, str], Filter]) -> None:
    version, large, condition = case
    if holds(version, large, condition):
        assert traces.holding([document(version)], condition) == [document(version)]


@pytest.mark.parametrize(
    "where",
    [
        "tags.k = 'b'",
        "tags.k LIKE '%b'",
        "tags.k LIKE 'b%'",
        "tags.k LIKE '%bx_by%'",
        "tags.k ILIKE '%BAD%'",
        "tags.none != 'a'",
        "tags.none LIKE '%'",
        "source_path = 'b'",
        "run_id LIKE 'b%'",
        "version_number = 2",
    ],
)
def test_a_document_that_cannot_match_is_not_read(where: str) -> None:
    version, _, condition = of(where, "a")
    assert traces.leaves(condition)
    assert traces.holding([document(version)], condition) == []


@pytest.mark.parametrize("where", ["run_id != 'b'", "run_id IN ('b')", "source_path LIKE '%'", "version_number > 2"])
def test_what_leaves_no_text_is_not_told(where: str) -> None:
    version, _, condition = of(where, "a")
    assert not traces.leaves(condition)
    assert traces.holding([document(version)], condition) == [document(version)]


def test_a_document_of_another_layout_is_read() -> None:
    """By another release perhaps."""
    _, _, condition = of("tags.k = 'b'", "a")
    other = '{"spilled":["k"],"model_id":"m"}'
    assert traces.holding([other], condition) == [other]
