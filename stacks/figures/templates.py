"""The synthesized templates of an assembly, read back as they will be deployed."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Properties = Mapping[str, Any]
_OUTPUT = re.compile(r"^(Exports|Publish)Output(Ref|FnGetAtt)")
"""How the CDK begins the names of outputs that other stacks use; the logical id comes next."""


class AssemblyError(Exception):
    """A folder that holds no assembly of this project; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource of one stack."""

    stack: str
    region: str
    id: str
    kind: str
    properties: Properties

    def get(self, path: str) -> Any:  # noqa: ANN401 - any JSON
        """The property at ``path`` (``Rules.0.Status``), or None where the template says nothing there."""
        value: Any = self.properties
        for part in path.split("."):
            if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
                value = value[int(part)]
            elif isinstance(value, Mapping):
                value = value.get(part)
            else:
                return None
        return value


class Templates:
    """Every resource of the stacks of one environment."""

    def __init__(self, folder: Path) -> None:
        """:raises AssemblyError: ``folder`` holds no assembly, or one that is not of a single environment."""
        try:
            artifacts = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["artifacts"]
        except FileNotFoundError as error:
            raise AssemblyError(f"{folder} holds no synthesized templates; run: make synth") from error
        stacks = {name: found for name, found in artifacts.items() if found["type"] == "aws:cloudformation:stack"}
        environments = {found["properties"]["tags"]["environment"] for found in stacks.values()}
        if len(environments) != 1:
            raise AssemblyError(f"{folder} must hold one environment, not {len(environments)}; run: make synth")
        (self.environment,) = environments
        self.regions: dict[str, str] = {name: found["environment"].rpartition("/")[2] for name, found in stacks.items()}
        """Where each stack stands, by its name."""
        self.dependencies: dict[str, frozenset[str]] = {
            name: frozenset(found.get("dependencies", ())) & stacks.keys() for name, found in stacks.items()
        }
        """Stacks that are deployed before each, by its name."""
        self._resources = [
            Resource(
                stack=name,
                region=self.regions[name],
                id=logical_id,
                kind=resource["Type"],
                properties=resource.get("Properties", {}),
            )
            for name, found in stacks.items()
            for logical_id, resource in _document(folder / found["properties"]["templateFile"]).items()
        ]

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._resources)

    def of(self, kind: str, *, stack: str | None = None, **wanted: object) -> list[Resource]:
        """Resources of a type, optionally of one stack, that have the ``wanted`` properties."""
        return [
            resource
            for resource in self._resources
            if resource.kind == kind
            and stack in {None, resource.stack}
            and all(resource.properties.get(name) == value for name, value in wanted.items())
        ]

    def referred(self, origin: Resource, path: str, kind: str) -> list[Resource]:
        """Resources of a type to which the property at ``path`` refers within its stack."""
        names = set(_references(origin.get(path)))
        return [resource for resource in self.of(kind, stack=origin.stack) if resource.id in names]

    def targets(self, origin: Resource, path: str) -> list[Resource]:
        """Resources of any stack to which the property at ``path`` refers, in the order in which it does."""
        found = []
        for stack, name in _targets(origin.stack, origin.get(path)):
            known = [one for one in self._resources if one.stack == stack and name.startswith(one.id)]
            found += [max(known, key=lambda one: len(one.id))] if known else []
        return found

    def referring(self, target: Resource, path: str, kind: str) -> list[Resource]:
        """Resources of a type whose property at ``path`` refers to ``target`` within its stack."""
        return [
            resource for resource in self.of(kind, stack=target.stack) if target.id in _references(resource.get(path))
        ]


def joined(value: str | Mapping[str, Any] | None) -> str:
    """A text with the names of what only the deployment knows in their places."""
    parts = value["Fn::Join"][1] if isinstance(value, Mapping) else [value or ""]
    return "".join(part if isinstance(part, str) else part["Ref"] for part in parts)


def _document(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8")).get("Resources", {}))


def _references(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("Ref"), str):
            yield value["Ref"]
        attribute = value.get("Fn::GetAtt")
        if isinstance(attribute, list):
            yield attribute[0]
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def _targets(stack: str, value: object) -> Iterator[tuple[str, str]]:
    """Stacks, and names that begin with a resource's logical id."""
    if isinstance(value, Mapping):
        yield from ((stack, name) for name in _references(value) if name not in {"AWS::AccountId", "AWS::Region"})
        if isinstance(imported := value.get("Fn::ImportValue"), str):
            yield (imported.partition(":")[0], _OUTPUT.sub("", imported.partition(":")[2]))
        if isinstance(output := value.get("Fn::GetStackOutput"), Mapping):
            yield output["StackName"], _OUTPUT.sub("", output["OutputName"])
    elif isinstance(value, list):
        for item in value:
            yield from _targets(stack, item)
