"""One figure of the architecture, where to look for what realises it, and what was found there."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stacks.figures.templates import Resource, Templates
from stacks.models import Settings

Test = Callable[[object], bool]
"""Does the value of a property agree with the figure?"""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One leaf of the architecture. A list of plain values is one leaf: its order and its end count too."""

    path: str
    """``compute.ecs.clusters[vector-processing].min_size``: members of lists by their names."""
    value: object

    @property
    def pattern(self) -> str:
        """The path without names: ``compute.ecs.clusters[].min_size``."""
        return re.sub(r"\[[^]]*\]", "[]", self.path)

    @property
    def member(self) -> str:
        """Name of the list's member to which the figure belongs."""
        return str(re.findall(r"\[([^]]*)\]", self.path)[-1])


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A property that bears on a figure, or (without a resource) what should be there and is not."""

    stack: str
    resource: str | None
    property: str
    value: object
    agrees: bool


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """Given to a rule, which looks into ``templates`` and notes what it finds."""

    figure: Figure
    templates: Templates
    settings: Settings
    findings: list[Finding] = field(default_factory=list)
    waivers: list[str] = field(default_factory=list)

    def name(self, *parts: str) -> str:
        """A physical name in the environment; stacks have such names too."""
        return self.settings.name(*parts)

    def note(self, resource: Resource, what: str, value: object, *, agrees: bool) -> None:
        """Note a value that was made from several properties."""
        self.findings.append(
            Finding(stack=resource.stack, resource=resource.id, property=what, value=value, agrees=agrees)
        )

    def show(self, resource: Resource, path: str, test: Test) -> None:
        """Note what a property says."""
        value = resource.get(path)
        self.note(resource, path, value, agrees=test(value))

    def miss(self, stack: str, what: str) -> None:
        """Note that ``what`` should stand in ``stack`` and does not."""
        self.findings.append(Finding(stack=stack, resource=None, property=what, value=None, agrees=False))

    def waive(self, reason: str) -> None:
        """Nothing is to be found in this environment."""
        self.waivers.append(reason)

    def in_every_region(self, layer: str, kind: str, **wanted: object) -> Iterator[Resource]:
        """Resources of a type in each region's stack of ``layer``; it is noted where there is none."""
        for region in self.settings.regions:
            yield from self.in_stack(self.name(region, layer), kind, **wanted)

    def in_stack(self, stack: str, kind: str, **wanted: object) -> list[Resource]:
        """Resources of a type in one stack; it is noted where there is none."""
        found = self.templates.of(kind, stack=stack, **wanted)
        if not found:
            self.miss(stack, " ".join((kind, *map(str, wanted.values()))))
        return found

    def show_list(self, stack: str, found: Sequence[Resource], path: str) -> None:
        """Note resources that each realise one member of a list: all of them, in their order, and no other."""
        wanted = self.figure.value if isinstance(self.figure.value, list) else []
        for position, resource in enumerate(found):
            self.show(resource, path, equals(wanted[position] if position < len(wanted) else None))
        for value in wanted[len(found) :]:
            self.miss(stack, f"{path} {value}")


Rule = Callable[[Inspection], None]
Rules = Mapping[str, Rule]
"""By the figures' patterns."""


def equals(wanted: object) -> Test:
    """Equal as text: some resources want their numbers so."""
    return lambda value: value is not None and str(value) == str(wanted)


def begins(prefix: str) -> Test:
    """Text that begins with ``prefix``."""
    return lambda value: isinstance(value, str) and value.startswith(prefix)


def present(value: object) -> bool:
    """Says anything."""
    return bool(value)
