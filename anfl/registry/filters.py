"""MLflow's filter language for registered models and versions.

Grammar (keywords in any case)::

    filter     := comparison ("AND" comparison)*
    comparison := key operator value
    key        := attribute | "attribute." attribute | ("tag." | "tags.") name
    operator   := "=" | "!=" | ">" | ">=" | "<" | "<=" | "LIKE" | "ILIKE" | "IN" | "NOT" "IN"
    value      := string | integer | "(" string ("," string)* ")"

A tag's name with other characters than letters, digits, ``_``, ``-``, ``.``, ``/`` and ``:`` stands in backticks or
quotes; a string in single or double quotes, a quote within it doubled. An attribute stands in none, as with MLflow.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from anfl.problems import Problem
from anfl.registry.entities import PROMPT_TAG
from anfl.registry.errors import invalid_parameter
from anfl.registry.patterns import matcher

MAX_FILTER_CHARACTERS = 20_000
MAX_COMPARISONS = 500
"""Each is asked of what the one before has left, function in function, of which Python takes a thousand."""
_EQUALITY = frozenset({"=", "!="})
_PATTERNS = frozenset({"LIKE", "ILIKE"})
_LISTS = frozenset({"IN", "NOT IN"})
_ORDERS = frozenset({">", ">=", "<", "<="})
_QUOTED = ("single", "double", "backtick")
"""How a tag's name may stand."""
_ENTITIES = ("attribute", "tag", "tags")
_KEYWORDS = frozenset({"TRUE", "FALSE", "NULL"})
"""Words of SQL that are no values here."""


class Kind(StrEnum):
    """What an attribute holds, and so which operators it takes."""

    LISTED_TEXT = "listed text"
    TEXT = "text"
    NUMBER = "number"


_OPERATORS = {
    Kind.LISTED_TEXT: _EQUALITY | _PATTERNS | _LISTS,
    Kind.TEXT: _EQUALITY | _PATTERNS,
    Kind.NUMBER: _EQUALITY | _ORDERS,
}
MODEL_ATTRIBUTES: Mapping[str, Kind] = {"name": Kind.LISTED_TEXT}
VERSION_ATTRIBUTES: Mapping[str, Kind] = {
    "name": Kind.LISTED_TEXT,
    "run_id": Kind.LISTED_TEXT,
    "source_path": Kind.TEXT,
    "version_number": Kind.NUMBER,
}

Value = str | int | tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One condition on an attribute or a tag."""

    key: str
    is_tag: bool
    operator: str
    value: Value

    def holds(self, actual: str | int | None) -> bool:
        """Whether the condition holds for the attribute's or tag's value; never for an absent one."""
        return actual is not None and self.test(actual)

    @cached_property
    def test(self) -> Callable[[Any], bool]:
        """What is asked of a value that there is."""
        return _TESTS[self.operator](self.value)


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Conditions that must all hold."""

    comparisons: tuple[Comparison, ...]
    prompts: bool
    """Whether prompts are asked for; otherwise they are left out (MLflow's rule)."""

    def on(self, attribute: str, operators: Iterable[str]) -> list[Comparison]:
        """The conditions on an attribute with one of ``operators``."""
        wanted = frozenset(operators)
        return [c for c in self.comparisons if not c.is_tag and c.key == attribute and c.operator in wanted]

    def listed(self, attribute: str) -> set[str] | None:
        """The only values of an attribute that can match; None where conditions do not enumerate them."""
        listed: set[str] | None = None
        for comparison in self.on(attribute, ("=", "IN")):
            given = set(comparison.value) if isinstance(comparison.value, tuple) else {str(comparison.value)}
            listed = given if listed is None else listed & given
        return listed

    def prefix(self, attribute: str) -> str:
        """What every matching value of an attribute begins with, as far as patterns say."""
        prefixes = (str(c.value).split("%")[0].split("_")[0] for c in self.on(attribute, ("LIKE",)))
        return max(prefixes, key=len, default="")

    def about(self, *attributes: str) -> "Filter":
        """The conditions on some attributes alone."""
        return replace(self, comparisons=tuple(c for c in self.comparisons if not c.is_tag and c.key in attributes))

    def beyond(self, *attributes: str) -> "Filter":
        """All but the conditions on some attributes."""
        return replace(self, comparisons=tuple(c for c in self.comparisons if c.is_tag or c.key not in attributes))

    def with_operators(self, *operators: str) -> "Filter":
        """The conditions with some operators alone."""
        return replace(self, comparisons=tuple(c for c in self.comparisons if c.operator in operators))

    def tags(self) -> set[str]:
        """The tags that conditions are on."""
        return {c.key for c in self.comparisons if c.is_tag}

    def accepts(self) -> Callable[[str], bool]:
        """Says whether all conditions hold for a value, where all are about the same one."""
        tests = [comparison.test for comparison in self.comparisons]
        if not tests:
            return lambda _: True
        return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)

    def holds(self, attributes: Mapping[str, str | int | None], tags: Mapping[str, str]) -> bool:
        """Whether all conditions hold."""
        return all(c.holds(tags.get(c.key) if c.is_tag else attributes[c.key]) for c in self.comparisons)


def parse(text: str | None, attributes: Mapping[str, Kind]) -> Filter:
    """Read a filter.

    :param attributes: those that may be compared.
    :raises Problem: 400, naming the place.
    """
    comparisons = _Parser(text or "", attributes).parse() if (text or "").strip() else []
    about_prompts = [c for c in comparisons if c.is_tag and c.key == PROMPT_TAG]
    prompts = bool(about_prompts) and (about_prompts[0].operator, str(about_prompts[0].value).lower()) in {
        ("=", "true"),
        ("!=", "false"),
    }
    if not prompts:  # models carry no such tag: the condition says no more than that prompts are not wanted
        comparisons = [c for c in comparisons if c not in about_prompts]
    return Filter(comparisons=tuple(comparisons), prompts=prompts)


_Test = Callable[[Any], bool]
_TESTS: dict[str, Callable[[Any], _Test]] = {
    "=": lambda value: lambda actual: actual == value,
    "!=": lambda value: lambda actual: actual != value,
    ">": lambda value: lambda actual: actual > value,
    ">=": lambda value: lambda actual: actual >= value,
    "<": lambda value: lambda actual: actual < value,
    "<=": lambda value: lambda actual: actual <= value,
    "LIKE": matcher,
    "ILIKE": lambda value: _in_any_case(matcher(value.lower())),
    "IN": lambda value: frozenset(value).__contains__,
    "NOT IN": lambda value: lambda actual: actual not in value,
}
"""What each operator asks of an attribute or a tag, given the value that stands behind it."""


def _in_any_case(matches: Callable[[str], bool]) -> _Test:
    return lambda actual: matches(actual.lower())


_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<single>'(?:[^']|'')*')
    |(?P<double>"(?:[^"]|"")*")
    |(?P<backtick>`[^`]*`)
    |(?P<number>[+-]?\d+(?:\.\d+)?(?![\w.\-/:]))
    |(?P<word>[\w.\-/:]+)
    |(?P<operator><=|>=|!=|<>|==|=|<|>)
    |(?P<open>\()
    |(?P<close>\))
    |(?P<comma>,)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int


class _Parser:
    def __init__(self, text: str, attributes: Mapping[str, Kind]) -> None:
        if len(text) > MAX_FILTER_CHARACTERS:
            raise invalid_parameter(f"A filter has at most {MAX_FILTER_CHARACTERS} characters.", field="filter")
        self._text = text
        self._attributes = attributes
        self._tokens = [
            _Token(match.lastgroup or "", match.group(), match.start())
            for match in _TOKEN.finditer(text)
            if match.lastgroup != "space"
        ]
        self._next = 0

    def parse(self) -> list[Comparison]:
        comparisons = [self._comparison()]
        while (token := self._peek()) is not None:
            if token.text.upper() != "AND" or token.kind != "word":
                raise self._invalid_clause(token.start)
            self._next += 1
            if len(comparisons) == MAX_COMPARISONS:
                message = f"A filter has at most {MAX_COMPARISONS} conditions (at {token.start})"
                raise invalid_parameter(message, field="filter")
            comparisons.append(self._comparison())
        return comparisons

    def _comparison(self) -> Comparison:
        start = self._take(None)
        entity, key = self._key(start)
        operator = self._operator(start)
        token = self._take(start)
        if token.kind == "word" and token.text.upper() in _KEYWORDS:
            raise self._invalid_clause(start.start)
        is_tag = entity in ("tag", "tags")
        if entity not in _ENTITIES:
            raise self._at(f"Invalid entity type '{entity}'. Valid entity types are {_ENTITIES}", start)
        if not is_tag and key not in self._attributes:
            valid = sorted(self._attributes)
            raise self._at(f"Invalid attribute key '{key}' specified. Valid keys are '{valid}'", start)
        value = self._value(token, start=start, key=key, is_tag=is_tag)
        if operator not in (_EQUALITY | _PATTERNS if is_tag else _OPERATORS[self._attributes[key]]):
            kind = "tag" if is_tag else "attribute"
            name = f" {key}" if not is_tag and self._attributes[key] is Kind.NUMBER else ""
            raise invalid_parameter(f"Invalid comparator for {kind}{name}: {operator}", field="filter")
        if operator in _LISTS and not isinstance(value, tuple):
            raise self._invalid_clause(start.start)
        if isinstance(value, tuple) and operator not in _LISTS:
            raise self._at(f"Expected a single value after {operator}", token)
        return Comparison(key=key, is_tag=is_tag, operator=operator, value=value)

    def _key(self, token: _Token) -> tuple[str, str]:
        """Entity and name of the key that begins with ``token``."""
        if token.kind in ("double", "backtick"):
            return "attribute", token.text
        if token.kind != "word":
            raise self._invalid_clause(token.start)
        entity, dot, name = token.text.partition(".")
        if not dot:
            return "attribute", token.text
        if not name:  # tags.`a name`
            quoted = self._peek()
            adjacent = quoted is not None and quoted.start == token.start + len(token.text)
            if quoted is None or not adjacent or quoted.kind not in _QUOTED:
                raise self._invalid_clause(token.start)
            self._next += 1
            name = quoted.text if entity == "attribute" else quoted.text[1:-1]
        return entity, name

    def _operator(self, start: _Token) -> str:
        token = self._take(start)
        word = token.text.upper()
        if token.kind == "operator":
            if word in ("==", "<>"):
                raise self._at(f"Invalid comparator '{token.text}'; write {'=' if word == '==' else '!='}", token)
            return word
        if token.kind == "word" and word == "NOT":
            following = self._take(start)
            if following.text.upper() == "IN":
                return "NOT IN"
        elif token.kind == "word" and word in _PATTERNS | {"IN"}:
            return word
        raise self._invalid_clause(start.start)

    def _value(self, token: _Token, *, start: _Token, key: str, is_tag: bool) -> Value:
        kind = None if is_tag else self._attributes[key]
        if token.kind in ("single", "double"):
            text = _unquoted(token.text)
            return self._integer(text, key) if kind is Kind.NUMBER else text
        if token.kind == "number" and kind is Kind.NUMBER:
            return self._integer(token.text, key)
        if token.kind == "open" and kind is Kind.LISTED_TEXT:
            return self._list(start)
        if token.kind in ("word", "backtick"):
            raise self._at(
                "Parameter value is either not quoted or unidentified quote types used for string value"
                f" {token.text}. Use either single or double quotes.",
                token,
            )
        if token.kind in ("number", "open"):
            expected = (
                "Expected a quoted string value for tag (e.g. 'my-value')."
                if is_tag
                else "Expected a quoted string value or a list of quoted string values for attributes."
            )
            raise self._at(f"{expected} Got value {token.text}", token)
        raise self._invalid_clause(token.start)

    def _integer(self, text: str, key: str) -> int:
        if re.fullmatch(r"[+-]?\d{1,18}", text) is None:
            raise invalid_parameter(f"Invalid value for numeric attribute '{key}': {text!r}", field="filter")
        return int(text)

    def _list(self, start: _Token) -> tuple[str, ...]:
        expected = "While parsing a list in the query, expected"
        nothing = f"{expected} a non-empty list of string values, but got"
        values: list[str] = []
        while True:
            token = self._take(start)
            if token.kind == "close":
                break
            if token.kind == "number":
                raise self._at(
                    f"{expected} string value, punctuation, or whitespace, but got different type in list", token
                )
            if token.kind not in ("single", "double"):
                raise self._at(f"{nothing} ill-formed list.", token)
            values.append(_unquoted(token.text))
            separator = self._peek()
            if separator is None:
                raise self._invalid_clause(start.start)
            if separator.kind == "comma":
                self._next += 1
            elif separator.kind != "close":
                raise self._at(f"{nothing} ill-formed list.", separator)
        if not values:
            raise invalid_parameter(f"{nothing} empty list", field="filter")
        return tuple(values)

    def _peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _take(self, start: _Token | None) -> _Token:
        """The next token.

        :param start: first token of the clause that is incomplete without one.
        """
        token = self._peek()
        if token is None:
            raise self._invalid_clause(start.start if start else len(self._text))
        self._next += 1
        return token

    def _invalid_clause(self, position: int) -> Problem:
        clause = self._text[position : position + 200].strip() or self._text.strip()[-200:]
        return invalid_parameter(f"Invalid clause(s) in filter string: {clause} (at {position})", field="filter")

    def _at(self, message: str, token: _Token) -> Problem:
        return invalid_parameter(f"{message} (at {token.start})", field="filter")


def _unquoted(text: str) -> str:
    quote = text[0]
    return text[1:-1].replace(quote * 2, quote)
