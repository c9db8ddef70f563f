"""Synthesized stacks, and what becomes of them from one assembly to the next."""

import json
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

Place = tuple[str, str]
"""(stack, region)"""


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """A folder that the CDK wrote."""

    folder: Path
    templates: dict[Place, dict[str, Any]]
    """In an order in which they can be deployed."""

    @classmethod
    def read(cls, folder: Path) -> "Assembly":
        """The assembly in ``folder``."""
        artifacts = json.loads((folder / "manifest.json").read_bytes())["artifacts"]
        stacks = {name: found for name, found in artifacts.items() if found["type"] == "aws:cloudformation:stack"}
        needs = {name: set(found.get("dependencies", ())) & stacks.keys() for name, found in stacks.items()}
        return cls(
            folder=folder,
            templates={
                (name, stacks[name]["environment"].rpartition("/")[2]): json.loads(
                    (folder / stacks[name]["properties"]["templateFile"]).read_bytes()
                )
                for name in TopologicalSorter(needs).static_order()
            },
        )


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What has to happen so that one assembly takes the place of another."""

    destroyed: list[Place]
    """In the earlier one only, dependents first. A stack that moves to another region is in both lists."""
    deployed: list[Place]
    """New or with another template in the later one, in the order of their dependencies."""


def difference(before: Assembly, after: Assembly) -> Difference:
    """From ``before`` to ``after``."""
    gone = [place for place in before.templates if place not in after.templates]
    return Difference(
        destroyed=gone[::-1],
        deployed=[place for place, template in after.templates.items() if before.templates.get(place) != template],
    )
