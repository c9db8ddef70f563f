"""MLflow's filter and order languages: what they accept, refuse and mean."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anfl.problems import Problem
from anfl.registry import ordering
from anfl.registry.entities import PROMPT_TAG
from anfl.registry.filters import MODEL_ATTRIBUTES, VERSION_ATTRIBUTES, parse
from anfl.registry.patterns import matcher
from anfl.registry.registry import Registry

NO_TAGS: dict[str, str] = {}


def matches(text: str, *, tags: dict[str, str] | None = None, **attributes: str | int | None) -> bool:
    values: dict[str, str | int | None] = {
        "name": "bert",
        "run_id": "r1",
        "source_path": "s3://b/m",
        "version_number": 3,
    }
    values |= attributes
    return parse(text, VERSION_ATTRIBUTES).holds(values, tags or {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "name = 'bert'",
        'name = "bert"',
        "name='bert'",
        "attribute.name = 'bert'",
        "name != 'gpt'",
        "name LIKE 'b%t'",
        "name like '_ert'",
        "name ILIKE 'BE%'",
        "name IN ('gpt', 'bert')",
        "name in('bert')",
        "name IN ('bert',)",
        "name NOT IN ('gpt')",
        "run_id = 'r1' AND name = 'bert'",
        "run_id = 'r1' and version_number >= 3",
        "version_number > 2 AND version_number < 4 AND version_number != 5",
        "version_number = '3'",
        "source_path LIKE 's3://%'",
        "tags.k = 'v'",
        "tag.k != 'w'",
        "tags.`my key` = 'quoted'",
        "tags.\"my key\" ILIKE 'QUO%'",
        "tags.'my key' = 'quoted'",
        "tags.k = 'v' AND tags.k LIKE '%v%'",
        "tags.a/b-c.d = 'path'",
        "\n name\t=\n'bert' ",
    ],
)
def test_filters_that_hold(text: str) -> None:
    assert matches(text, tags={"k": "v", "my key": "quoted", "a/b-c.d": "path"})


@pytest.mark.parametrize(
    "text",
    [
        "name = 'BERT'",
        "name LIKE 'B%'",
        "name = 'b%'",
        "name IN ('BERT')",
        "name NOT IN ('bert')",
        "version_number > 3",
        "tags.k = 'V'",
        "tags.k = 'v' AND tags.k = 'w'",
        "tags.absent != 'anything'",
        "tags.absent = ''",
    ],
)
def test_filters_that_do_not_hold(text: str) -> None:
    assert not matches(text, tags={"k": "v"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 'a' OR name = 'b'", "Invalid clause(s) in filter string: OR name = 'b'"),
        ("(name = 'a')", "Invalid clause(s) in filter string"),
        ("name =", "Invalid clause(s) in filter string: name ="),
        ("name", "Invalid clause(s) in filter string"),
        ("= 'a'", "Invalid clause(s) in filter string"),
        ("name = 'a' AND", "Invalid clause(s) in filter string"),
        ("name = 'a' name = 'b'", "Invalid clause(s) in filter string"),
        ("name = 'a';", "Invalid clause(s) in filter string"),
        ("name BETWEEN 'a'", "Invalid clause(s) in filter string"),
        ("name NOT LIKE 'a'", "Invalid clause(s) in filter string"),
        ("name = 'a", "Invalid clause(s) in filter string"),
        ("yaml = 'a'", "Invalid attribute key 'yaml' specified"),
        ("attribute.yaml = 'a'", "Invalid attribute key 'yaml' specified"),
        ("`name` = 'a'", "Invalid attribute key '`name`' specified"),
        ("\"name\" = 'a'", "Invalid attribute key '\"name\"' specified"),
        ("attribute.`name` = 'a'", "Invalid attribute key '`name`' specified"),
        ("params.x = 'a'", "Invalid entity type 'params'. Valid entity types are ('attribute', 'tag', 'tags')"),
        ("name = bert", "Parameter value is either not quoted or unidentified quote types"),
        ("name = `bert`", "unidentified quote types used for string value `bert`. Use either single or double quotes."),
        ("name = 5", "Expected a quoted string value or a list of quoted string values"),
        ("tags.k = 5", "Expected a quoted string value for tag"),
        ("tags.k IN ('v')", "Expected a quoted string value for tag"),
        ("name > 'a'", "Invalid comparator for attribute: >"),
        ("tags.k > 'a'", "Invalid comparator for tag: >"),
        ("version_number LIKE '1'", "Invalid comparator for attribute version_number: LIKE"),
        ("version_number = 'three'", "Invalid value for numeric attribute 'version_number': 'three'"),
        ("version_number = 1.5", "Invalid value for numeric attribute 'version_number'"),
        ("version_number = 99999999999999999999", "Invalid value for numeric attribute"),
        ("name IN ()", "expected a non-empty list of string values, but got empty list"),
        ("name IN (,'a')", "expected a non-empty list of string values, but got ill-formed list"),
        ("name IN ('a' 'b')", "ill-formed list"),
        ("name IN ('a'", "Invalid clause(s) in filter string: name IN ('a'"),
        ("name IN (", "Invalid clause(s) in filter string: name IN ("),
        ("name = true", "Invalid clause(s) in filter string: name = true"),
        ("name IN (1, 'a')", "expected string value, punctuation, or whitespace, but got different type in list"),
        ("name IN 'a'", "Invalid clause(s) in filter string: name IN 'a'"),
        ("name = ('a')", "Expected a single value after ="),
    ],
)
def test_filters_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(Problem) as caught:
        parse(text, VERSION_ATTRIBUTES)
    assert (caught.value.status, caught.value.field) == (400, "filter")
    assert message in caught.value.detail


def test_models_are_searched_by_name_and_tags_only() -> None:
    with pytest.raises(Problem, match="Invalid attribute key 'run_id'"):
        parse("run_id = 'r'", MODEL_ATTRIBUTES)


@pytest.mark.parametrize(
    ("text", "prompts"),
    [
        ("", False),
        (f"tags.`{PROMPT_TAG}` = 'true'", True),
        (f"tags.`{PROMPT_TAG}` != 'false'", True),
        (f"tags.`{PROMPT_TAG}` = 'false'", False),
        (f"tag.`{PROMPT_TAG}` != 'true'", False),
    ],
)
def test_a_filter_says_whether_prompts_are_wanted(text: str, prompts: bool) -> None:
    parsed = parse(text, MODEL_ATTRIBUTES)
    assert parsed.prompts is prompts
    assert prompts or parsed.holds({"name": "a model without the tag"}, NO_TAGS)


@given(st.text(alphabet="ab%_A", max_size=12), st.text(alphabet="ab%_A", max_size=8))
def test_like_means_what_the_regular_expression_means(text: str, pattern: str) -> None:
    expression = "".join({"%": ".*", "_": "."}.get(character, re.escape(character)) for character in pattern)
    assert matcher(pattern)(text) == (re.fullmatch(expression, text, re.DOTALL) is not None)


def test_no_pattern_explodes() -> None:
    started = time.perf_counter()
    assert not matcher("%a" * 200 + "%b")("a" * 5_000)
    assert not matcher("%" + "a_" * 2_000 + "b%")("a" * 20_000)
    assert time.perf_counter() - started < 1


@given(st.text(max_size=60) | st.text(alphabet="name=tagsINOTLKE .'\"`(),<>!123", max_size=60))
def test_every_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text, VERSION_ATTRIBUTES)
    except Problem as problem:
        if problem.status != 400:
            raise


@given(st.text(max_size=30).filter(lambda text: "\x00" not in text))
def test_any_value_can_be_quoted(value: str) -> None:
    doubled = value.replace("'", "''")
    assert parse(f"name = '{doubled}'", MODEL_ATTRIBUTES).holds({"name": value}, NO_TAGS)


@pytest.mark.parametrize(
    ("item", "field", "descending"),
    [
        ("name", "name", False),
        ("name DESC", "name", True),
        ("`name`  asc", "name", False),
        ("attribute.`name` desc", "name", True),
        ("timestamp desc", "updated_at", True),
        (" last_updated_timestamp ", "updated_at", False),
    ],
)
def test_order_items(item: str, field: str, descending: bool) -> None:
    first = ordering.parse([item], keys=ordering.MODEL_KEYS, ties=ordering.MODEL_TIES)[0]
    assert (first.field, first.descending) == (field, descending)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["creation_timestamp"], "Invalid order by key 'creation_timestamp' specified"),
        (["name SIDEWAYS"], "Invalid order_by clause 'name SIDEWAYS'"),
        ([""], "Invalid order_by clause ''"),
        (["name", "name DESC"], "duplicate fields"),
        (["timestamp", "last_updated_timestamp"], "duplicate fields"),
    ],
)
def test_orders_that_are_refused(items: list[str], message: str) -> None:
    with pytest.raises(Problem) as caught:
        ordering.parse(items, keys=ordering.MODEL_KEYS, ties=ordering.MODEL_TIES)
    assert message in caught.value.detail


@pytest.mark.parametrize("count", [500, 501, 1200])
def test_conditions_are_no_more_than_can_be_asked_of_each_other(registry: Registry, count: int) -> None:
    """Each is asked of what the one before has left, and Python calls no more than a thousand functions in another."""
    registry.models.create("acme", "bert", by="ana")
    where = "and ".join(["tag.a!='b'"] * count)
    for _ in range(3):  # as one that does not know the tenant, and as one that does
        if count <= 500:
            assert registry.search.versions("acme", where=where, order_by=[], limit=1, token=None).versions == []
        else:
            with pytest.raises(Problem, match="at most 500 conditions"):
                registry.search.versions("acme", where=where, order_by=[], limit=1, token=None)
