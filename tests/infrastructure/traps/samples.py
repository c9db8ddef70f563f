"""Stacks that are right, and what they become when a trap is sprung: ``samples.yaml``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.infrastructure.estate import Estate, Place


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Both sides of one trap."""

    good: Estate
    bad: Estate


def samples() -> Mapping[int, Sample]:
    """By number of the trap."""
    found: dict[int, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("samples.yaml").read_text())
    return {number: _sample(entry) for number, entry in found.items()}


def _sample(entry: dict[str, Any]) -> Sample:
    text = json.dumps(entry["stacks"] | {"sources": entry.get("sources", {})})
    sprung = json.loads(text)
    for *path, last, value in entry["trap"]:
        at: Any = sprung
        for step in path:
            at = at[step]
        if value is None:
            del at[last]
        else:
            at[last] = value
    return Sample(good=_estate(json.loads(text)), bad=_estate(sprung))


def _estate(entry: Mapping[str, Any]) -> Estate:
    return Estate(
        environment="prod",
        places={
            name: Place(
                name=name,
                region=stack["region"],
                needs=frozenset(stack.get("needs", ())),
                document={part: stack[part] for part in ("Resources", "Outputs") if part in stack},
            )
            for name, stack in entry.items()
            if name != "sources"
        },
        sources=entry["sources"],
    )
