"""A request that does not fit is told which field is wrong, and what would have been right."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from anfl.decoding import convert, parse
from anfl.problems import Problem


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    colour: Colour = Colour.RED
    size: Literal["s", "m"] = "s"
    tags: dict[str, list[int]] = {}


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern="^[a-z]+$", description="Names are small letters")]
    count: int = 0
    inner: Inner | None = None
    rows: list[Inner] = []
    by_name: dict[Annotated[str, msgspec.Meta(min_length=1, max_length=5)], Colour] = {}


@pytest.mark.parametrize(
    ("body", "field", "detail"),
    [
        ({"name": "a", "nam": 1}, "nam", "There is no field nam; there are by_name, count, inner, name, rows."),
        ({"name": "a", "inner": {"x": 1}}, "inner.x", "There is no field x; there are colour, size, tags."),
        ({"name": "a", "rows": [{}, {"x": 1}]}, "rows[1].x", "There is no field x; there are colour, size, tags."),
        ({}, "name", "name is missing."),
        ({"name": "a", "inner": {"colour": "green"}}, "inner.colour", "'green' is none of red, blue."),
        ({"name": "a", "rows": [{"size": "xl"}]}, "rows[0].size", "'xl' is none of m, s."),
        ({"name": "a", "by_name": {"x": "green"}}, "by_name.x", "'green' is none of red, blue."),
        (
            {"name": "a", "by_name": {"w": "red", "x.y": "green", "z": "x"}},
            "by_name.x.y",
            "'green' is none of red, blue.",
        ),
        (
            {"name": "a", "by_name": {"w": "red", "too long": "red"}},
            "by_name.too long",
            "Expected `str` of length <= 5.",
        ),
        (
            {"name": "a", "rows": [{}, {"tags": {"a": [1], "b": [2, "x"]}}, {}]},
            "rows[1].tags.b[1]",
            "Expected `int`, got `str`.",
        ),
        ({"name": "a", "by_name": {"": "red"}}, "by_name", "Expected `str` of length >= 1."),
        ({"name": "A"}, "name", "Names are small letters."),
        ({"name": "a", "count": "1"}, "count", "Expected `int`, got `str`."),
        ([], None, "Expected `object`, got `array`."),
    ],
)
def test_what_is_wrong_is_named(body: Any, field: str | None, detail: str) -> None:
    with pytest.raises(Problem) as refused:
        convert(body, Outer)
    assert (refused.value.status, refused.value.field, refused.value.detail) == (400, field, detail)
    with pytest.raises(Problem) as encoded:
        parse(msgspec.json.encode(body), Outer)
    assert str(encoded.value) == str(refused.value)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"name": "a", "rows": [{"tags": {"a": [1], "b": [1, 1e400]}}]}', "rows[0].tags.b[1]"),
        (b'{"name": "a", "by_name": {"x": "green"}, "count": 1e400}', "by_name.x"),
        (b'{"name": "a", "x - at `y": 1}', "x - at `y"),
        (b'{"name": "a", "x - at `$.y[...]": 1}', "y[...]"),
        (b'{"name": "a", "x - at `$.name.y[0][...]": 1}', "name.y[0][...]"),
    ],
)
def test_numbers_and_names_that_nobody_expects_are_refused_as_others_are(body: bytes, field: str) -> None:
    with pytest.raises(Problem) as refused:
        parse(body, Outer)
    assert (refused.value.status, refused.value.field) == (400, field)


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"name": NaN}'])
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Problem) as refused:
        parse(body, Outer)
    assert (refused.value.status, refused.value.code) == (400, "malformed_json")


def test_the_first_wrong_member_is_named_however_many_there_are() -> None:
    names = [f"n{number}" for number in range(3_000)]
    for wrong in (0, 1, 1_499, 1_500, 2_999):
        members = {name: "green" if number in (wrong, wrong + 7) else "red" for number, name in enumerate(names)}
        body = {"name": "a", "by_name": members, "inner": {"colour": "green"}}
        with pytest.raises(Problem) as refused:
            parse(msgspec.json.encode(body), Outer)
        assert refused.value.field == f"by_name.n{wrong}"


def test_a_member_whose_name_cannot_be_found_out_is_not_guessed() -> None:
    with pytest.raises(Problem) as refused:
        parse(b'{"name": "a", "by_name": {"x": "green"}, "count": ', Outer)
    assert refused.value.field == "by_name[...]"


def test_what_nests_too_deeply_is_malformed() -> None:
    with pytest.raises(Problem) as refused:
        parse(b"[" * 100_000, list[Any])
    assert refused.value.code == "malformed_json"
