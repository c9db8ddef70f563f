"""Search: what is found, in which order, page by page, and at what cost."""

import base64
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from anfl.problems import Problem
from anfl.registry.entities import PROMPT_TAG, Stage
from anfl.registry.registry import Registry
from tests.unit.registry.conftest import Time, items
from tests.unit.registry.test_models import refused, version

NAMES = [f"model-{letter}" for letter in "badcfehg"]


@pytest.fixture(name="filled")
def _filled(registry: Registry) -> Registry:
    for name in NAMES:
        registry.models.create("acme", name, tags={"letter": name[-1]}, by="ana")
        version(registry, "acme", name, tags={"letter": name[-1]}, run_id=f"run-{name[-1]}")
    registry.models.create("acme", "a prompt", tags={PROMPT_TAG: "true"}, by="ana")
    version(registry, "acme", "a prompt", tags={PROMPT_TAG: "true"})
    registry.models.create("other", "model-z", by="ana")
    version(registry, "other", "model-z")
    return registry


def model_pages(
    registry: Registry, *, where: str = "", order_by: Sequence[str] = (), limit: int = 3
) -> list[list[str]]:
    pages: list[list[str]] = []
    token: str | None = ""
    while token is not None:
        page = registry.search.models("acme", where=where, order_by=order_by, limit=limit, token=token)
        pages.append([model.name for model, _ in page.models])
        token = page.next_token
    return pages


def version_names(registry: Registry, where: str, order_by: Sequence[str] = ()) -> list[tuple[str, int]]:
    page = registry.search.versions("acme", where=where, order_by=order_by, limit=100, token=None)
    return [(of.model.name, of.version.number) for of in page.versions]


def test_models_come_by_name_in_full_pages_without_prompts_or_other_tenants(filled: Registry) -> None:
    expected = sorted(NAMES)
    assert model_pages(filled) == [expected[:3], expected[3:6], expected[6:]]
    assert model_pages(filled, limit=8) == [expected]


def test_every_order_pages_through_all_models(filled: Registry) -> None:
    by_time = NAMES
    for order, expected in {
        "name DESC": sorted(NAMES, reverse=True),
        "timestamp": by_time,
        "last_updated_timestamp DESC": by_time[::-1],
    }.items():
        assert [name for page in model_pages(filled, order_by=[order]) for name in page] == expected, order


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("name = 'model-c'", ["model-c"]),
        ("name = 'nothing'", []),
        ("name IN ('model-c', 'model-a', 'nothing')", ["model-a", "model-c"]),
        ("name LIKE 'model-%'", sorted(NAMES)),
        ("name LIKE '%-c'", ["model-c"]),
        ("name ILIKE 'MODEL-C'", ["model-c"]),
        ("name != 'model-a' AND tags.letter IN_CASE 'x'", None),
        ("tags.letter = 'd'", ["model-d"]),
        ("tags.letter LIKE '%' AND name NOT IN ('model-a', 'model-b')", sorted(NAMES)[2:]),
        (f"tags.`{PROMPT_TAG}` = 'true'", ["a prompt"]),
    ],
)
def test_filters_select_models(filled: Registry, where: str, expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(Problem):
            model_pages(filled, where=where)
    else:
        assert [name for page in model_pages(filled, where=where) for name in page] == expected


def test_found_models_carry_their_latest_versions(filled: Registry) -> None:
    version(filled, "acme", "model-a")
    filled.stages.transition("acme", "model-a", 1, Stage.PRODUCTION, by="ana")
    page = filled.search.models("acme", where="name = 'model-a'", order_by=[], limit=10, token=None)
    assert [(v.number, v.stage) for v in page.models[0][1]] == [(1, Stage.PRODUCTION), (2, Stage.NONE)]


def test_searching_by_name_reads_no_other_model(filled: Registry, calls: Counter[str]) -> None:
    calls.clear()
    assert version_names(filled, "name = 'model-c'") == [("model-c", 1)]
    assert sum(calls.values()) == 2


def test_versions_come_latest_change_first(filled: Registry) -> None:
    for _ in range(2):
        version(filled, "acme", "model-c")
    filled.versions.describe("acme", "model-c", 1, "changed", by="ana")
    found = version_names(filled, "")
    assert found[:3] == [("model-c", 1), ("model-c", 3), ("model-c", 2)]
    assert len(found) == len(NAMES) + 2
    assert version_names(filled, "name = 'model-c'", ["version_number ASC"]) == [("model-c", n) for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("run_id = 'run-d'", [("model-d", 1)]),
        ("run_id IN ('run-d', 'run-a')", [("model-a", 1), ("model-d", 1)]),
        ("source_path LIKE 's3://%' AND tags.letter = 'b'", [("model-b", 1)]),
        ("version_number > 1", []),
        (f"tags.`{PROMPT_TAG}` = 'true'", [("a prompt", 1)]),
    ],
)
def test_filters_select_versions(filled: Registry, where: str, expected: list[tuple[str, int]]) -> None:
    assert version_names(filled, where, ["name"]) == expected


def test_a_rename_is_the_latest_change_of_all_versions(process: Callable[[Time], Registry]) -> None:
    registry = process(time := Time())
    for name in ("a", "b"):
        registry.models.create("acme", name, by="ana")
        version(registry, "acme", name)
        time.now += 1
    for where in ("", "source_path LIKE '%'"):
        assert version_names(registry, where) == [("b", 1), ("a", 1)]
    registry.models.rename("acme", "a", "c", by="ana")
    assert version_names(registry, "") == [("c", 1), ("b", 1)]


def test_where_one_version_is_a_prompt_no_version_of_that_name_is_found(registry: Registry) -> None:
    """MLflow leaves prompts out by their names, also where the version that tells is not one that the filter wants."""
    registry.models.create("acme", "text", by="ana")
    version(registry, "acme", "text", tags={"k": "v"})
    assert version_names(registry, "tags.k = 'v'") == [("text", 1)]
    version(registry, "acme", "text", tags={PROMPT_TAG: "true"})
    for where in ("tags.k = 'v'", "tags.k LIKE 'v'", "name = 'text'", "source_path LIKE '%'"):
        assert version_names(registry, where) == []
    assert version_names(registry, f"tags.`{PROMPT_TAG}` = 'true'") == [("text", 2)]


def test_large_tags_are_found_too(filled: Registry) -> None:
    filled.version_tags.set("acme", "model-c", 1, "note", "x" * 50_000 + "needle", by="ana")
    assert version_names(filled, "tags.note LIKE '%needle'") == [("model-c", 1)]


def test_versions_are_paged(filled: Registry) -> None:
    seen: list[str] = []
    token: str | None = None
    while True:
        page = filled.search.versions("acme", where="", order_by=["name"], limit=3, token=token)
        seen += [of.model.name for of in page.versions]
        token = page.next_token
        if token is None:
            break
    assert seen == sorted(NAMES)


@pytest.mark.parametrize(
    "token", ["evilhax", "e30=", "bm90IGpzb24=", "eyJvZmZzZXQiOiAtMX0=", "eyJvZmZzZXQiOiAieCJ9", "é"]
)
def test_tokens_that_nobody_issued_are_refused(filled: Registry, token: str) -> None:
    with pytest.raises(Problem, match="Invalid page token"):
        filled.search.models("acme", where="", order_by=[], limit=3, token=token)


def test_a_token_of_another_filter_is_no_error(filled: Registry) -> None:
    page = filled.search.models("acme", where="", order_by=[], limit=3, token=None)
    for where in ("name LIKE 'a%'", "name LIKE 'z%'"):
        for order in ("name", "name DESC"):
            filled.search.models("acme", where=where, order_by=[order], limit=3, token=page.next_token)


@pytest.mark.parametrize("value", ['"', "\\", "\u00e9\u2028", "</", "\x01", "it''s"], ids=ascii)
def test_what_a_glance_leaves_out_does_not_match(registry: Registry, value: str) -> None:
    """Records are compared as they are stored before they are read: whatever JSON makes of the text."""
    stored = value.replace("''", "'")
    registry.models.create("acme", "bert", tags={"a/b c": stored}, by="ana")
    registry.models.create("acme", "other", tags={"k": "v"}, by="ana")
    version(registry, "acme", "bert", tags={"a/b c": stored}, run_id=stored)
    version(registry, "acme", "other")
    models = registry.search.models("acme", where=f"tags.`a/b c` = '{value}'", order_by=[], limit=9, token=None).models
    assert [model.name for model, _ in models] == ["bert"]
    for where in (f"run_id = '{value}'", f"tags.`a/b c` = '{value}'"):
        found = registry.search.versions("acme", where=where, order_by=[], limit=9, token=None).versions
        assert [of.model.name for of in found] == ["bert"]


def test_a_large_tag_is_found(registry: Registry) -> None:
    registry.models.create("acme", "bert", tags={"k": "x" * 9_000}, by="ana")
    version(registry, "acme", "bert", tags={"k": "y" * 9_000})
    for search, value in ((registry.search.models, "x"), (registry.search.versions, "y")):
        for operator in ("=", "LIKE"):
            page = search("acme", where=f"tags.k {operator} '{value * 9_000}'", order_by=[], limit=9, token=None)
            assert len(getattr(page, "models", None) or getattr(page, "versions", [])) == 1


def test_what_a_run_made_is_found_through_renames_and_deletions(registry: Registry) -> None:
    def made_by(run: str) -> list[tuple[str, int]]:
        return sorted(version_names(registry, f"run_id = '{run}'"))

    for name in ("a", "b"):
        registry.models.create("acme", name, by="ana")
        for run in ("r", "r", "r" + "#" * 900, None):
            version(registry, "acme", name, run_id=run)
    assert made_by("r") == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert made_by("r" + "#" * 900) == [("a", 3), ("b", 3)]
    registry.models.rename("acme", "a", "c", by="ana")
    registry.models.rename("acme", "c", "d", by="ana")
    registry.models.create("acme", "a", by="ana")  # the name is taken by one that the run did not make
    assert made_by("r") == [("b", 1), ("b", 2), ("d", 1), ("d", 2)]
    assert version_names(registry, "run_id = 'r' AND name = 'd' AND version_number > 1") == [("d", 2)]
    registry.versions.delete("acme", "d", 1, by="ana")
    registry.models.delete("acme", "b", by="ana")
    assert made_by("r") == [("d", 2)]
    registry.models.delete("acme", "d", by="ana")
    assert made_by("r") == []
    assert registry.search.versions("other", where="run_id = 'r'", order_by=[], limit=9, token=None).versions == []


def test_no_trace_of_a_run_stays_when_its_versions_are_gone(registry: Registry, dynamodb: Any) -> None:
    registry.models.create("acme", "a", by="ana")
    for _ in range(2):
        version(registry, "acme", "a", run_id="r")
    assert len(runs(dynamodb)) == 2
    registry.versions.delete("acme", "a", 1, by="ana")
    assert len(runs(dynamodb)) == 1
    registry.models.delete("acme", "a", by="ana")
    assert runs(dynamodb) == []


def runs(dynamodb: Any) -> list[str]:
    """Sort keys of what runs made."""
    return [item["sk"]["S"] for item in items(dynamodb) if item["pk"]["S"] == "acme#runs"]


@pytest.mark.parametrize("offset", [10**9 + 1, 2**63 - 1, 2**63, 10**30])
def test_a_page_that_no_search_has_is_refused(registry: Registry, offset: int) -> None:
    token = base64.b64encode(b'{"offset":%d}' % offset).decode()
    for search in (registry.search.models, registry.search.versions):
        detail = refused(
            "invalid_parameter_value",
            search,
            "acme",
            where=None,
            order_by=["last_updated_timestamp DESC"],
            limit=10,
            token=token,
        )
        assert "Invalid page token" in detail


def test_of_the_latest_versions_no_more_are_read_than_the_page_holds(
    registry: Registry, calls: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(120):
        registry.models.create("acme", f"m{number:03}", by="ana")
        version(registry, "acme", f"m{number:03}")
    monkeypatch.setattr("anfl.registry.pages.MAX_PAGE_BYTES", 50_000)
    calls.clear()
    page = registry.search.models("acme", where=None, order_by=[], limit=1000, token=None)
    assert 10 < len(page.models) < 100
    assert calls == {"Query": 1, "BatchGetItem": 1}
    assert [len(latest) for _, latest in page.models] == [1] * len(page.models)
    monkeypatch.setattr("anfl.registry.pages.MAX_PAGE_BYTES", 8_000_000)
    calls.clear()
    whole = registry.search.models("acme", where=None, order_by=[], limit=1000, token=None)
    assert [model.name for model, _ in whole.models] == [f"m{number:03}" for number in range(120)]
    assert all(latest for _, latest in whole.models)
    assert calls == {"Query": 1, "BatchGetItem": 2}


def test_a_token_of_another_filter_goes_on_where_it_stands(filled: Registry) -> None:
    def found(where: str, order: str, token: str | None) -> list[str]:
        page = filled.search.models("acme", where=where, order_by=[order], limit=3, token=token)
        return [model.name for model, _ in page.models]

    third = filled.search.models("acme", where="", order_by=[], limit=3, token=None).next_token  # model-c
    assert found("name LIKE 'a%'", "name", third) == []
    assert found("name LIKE 'model-a%'", "name", third) == []
    assert found("name LIKE 'model-h%'", "name", third) == ["model-h"]
    assert found("name LIKE 'model-h%'", "name DESC", third) == []
    assert found("name LIKE 'model-a%'", "name DESC", third) == ["model-a"]


def test_a_token_that_names_more_than_a_key_holds_is_refused(filled: Registry) -> None:
    token = base64.b64encode(b'{"after": "%s"}' % (b"m" * 1025)).decode()
    with pytest.raises(Problem, match="Invalid page token"):
        filled.search.models("acme", where="", order_by=[], limit=3, token=token)


@pytest.mark.parametrize("size", [1, 1500, 4000])
def test_pages_that_are_full_by_their_bytes_leave_nothing_out(
    filled: Registry, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """One is on each, however large."""
    monkeypatch.setattr("anfl.registry.pages.MAX_PAGE_BYTES", size)
    for order in ([], ["last_updated_timestamp"]):
        pages = model_pages(filled, limit=100, order_by=order)
        assert all(pages)
        assert len(pages) > 1
        assert sorted(name for page in pages for name in page) == sorted(NAMES)
    names: list[str] = []
    token: str | None = ""
    while token is not None:
        page = filled.search.versions("acme", where="", order_by=["name"], limit=100, token=token)
        assert page.versions
        names += [of.model.name for of in page.versions]
        token = page.next_token
    assert names == sorted(NAMES)
