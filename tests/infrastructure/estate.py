"""All templates of an environment as one thing, in which references are followed from stack to stack."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stacks.settings import ROOT
from tests.infrastructure.conftest import Assembly

_BUILT = {"build", "cdk.out", "node_modules"}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a rule says of one thing that it looked at."""

    subject: str
    wrong: str = ""
    """What is wrong with it; nothing if empty."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A stack: its template, its region, the stacks before it."""

    name: str
    region: str
    document: Mapping[str, Any]
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Item:
    """A resource and where it stands."""

    place: Place
    id: str
    whole: Mapping[str, Any]

    @property
    def type(self) -> str:
        """As CloudFormation names it."""
        return str(self.whole["Type"])

    @property
    def properties(self) -> Mapping[str, Any]:
        """None set is none given."""
        return self.whole.get("Properties") or {}

    @property
    def waits_for(self) -> list[str]:
        """Ids that it explicitly comes after."""
        after = self.whole.get("DependsOn", [])
        return [after] if isinstance(after, str) else list(after)

    def verdict(self, holds: object, otherwise: str, part: str = "") -> Verdict:
        """About this resource, or a ``part`` of it."""
        subject = " ".join(filter(None, (f"{self.place.name}: {self.id}", part)))
        return Verdict(subject=subject, wrong="" if holds else otherwise)


@dataclass(frozen=True, kw_only=True)
class Estate:
    """What is deployed together, and the sources that say how."""

    environment: str
    places: Mapping[str, Place]
    sources: Mapping[str, str] = field(default_factory=dict)
    """By path: the Makefile, and all Python."""

    def of(self, *types: str) -> Iterator[Item]:
        """Every resource of ``types``."""
        for place in self.places.values():
            for name, whole in place.document.get("Resources", {}).items():
                if whole["Type"] in types:
                    yield Item(place=place, id=name, whole=whole)

    def mentioned(self, item: Item, value: object) -> list[Item]:
        """Every resource to which ``value``, which stands in ``item``, refers at any depth, in whichever stack."""
        return list(self._mentioned(item.place, value))

    def target(self, item: Item, value: object, *types: str) -> Item | None:
        """The one resource of ``types`` that ``value`` means; None where it is none or nobody can tell."""
        found = {(f.place.name, f.id): f for f in self.mentioned(item, value) if f.type in types}
        return next(iter(found.values())) if len(found) == 1 else None

    def _mentioned(self, place: Place, value: object) -> Iterator[Item]:
        match value:
            case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
                if whole := place.document["Resources"].get(name):
                    yield Item(place=place, id=name, whole=whole)
            case {"Fn::ImportValue": str(export)}:
                yield from self._imported(export)
            case {"Fn::GetStackOutput": {"StackName": str(stack), "OutputName": str(output)}}:
                producer = self.places[stack]
                yield from self._mentioned(producer, producer.document["Outputs"][output]["Value"])
            case dict():
                for inner in value.values():
                    yield from self._mentioned(place, inner)
            case list():
                for inner in value:
                    yield from self._mentioned(place, inner)

    def _imported(self, export: str) -> Iterator[Item]:
        for place in self.places.values():
            for output in place.document.get("Outputs", {}).values():
                if output.get("Export", {}).get("Name") == export:
                    yield from self._mentioned(place, output["Value"])


def estate_of(environment: str, assembly: Assembly) -> Estate:
    """The real one."""
    return Estate(
        environment=environment,
        places={
            stack.name: Place(
                name=stack.name,
                region=assembly.region_of(stack.name),
                document=stack.document,
                needs=frozenset(assembly.dependencies(stack.name)),
            )
            for stack in assembly
        },
        sources={str(file.relative_to(ROOT)): file.read_text() for file in _sources()},
    )


def _sources() -> Iterator[Path]:
    yield ROOT / "Makefile"
    for folder in ROOT.iterdir():
        if folder.is_dir() and not folder.name.startswith(".") and folder.name not in _BUILT:
            yield from folder.rglob("*.py")


def strings(value: object) -> Iterator[str]:
    """Every piece of text in a template's value."""
    match value:
        case str():
            yield value
        case dict():
            for inner in value.values():
                yield from strings(inner)
        case list():
            for inner in value:
                yield from strings(inner)


def same(one: object, other: object) -> bool:
    """Whether two values of templates are equal."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
