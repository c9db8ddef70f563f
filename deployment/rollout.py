"""What one deployment touches: some stacks of an environment and those that they need, read from its templates."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bundling.sources import digest
from stacks.figures.templates import AssemblyError, Resource, Templates
from stacks.models import Settings
from stacks.settings import ROOT, SettingsError, load

_SYNTHESIS_TIMEOUT = 300


class RolloutError(Exception):
    """There is nothing to look at; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Stacks in the order in which they are deployed, and their resources."""

    settings: Settings
    templates: Templates
    stacks: tuple[str, ...]
    bootstrap_version: int
    """Of the CDK toolkit stack that the assembly needs in every region."""

    @property
    def regions(self) -> tuple[str, ...]:
        """Where the stacks stand, the environment's first region first."""
        found = {self.templates.regions[stack] for stack in self.stacks}
        return tuple(region.value for region in self.settings.regions if region.value in found)

    @cached_property
    def resources(self) -> tuple[Resource, ...]:
        """Of all the stacks."""
        return tuple(resource for resource in self.templates if resource.stack in self.stacks)

    def of(self, kind: str, *, region: str | None = None) -> list[Resource]:
        """Resources of a type, optionally of one region."""
        return [found for found in self.resources if found.kind == kind and region in {None, found.region}]

    def only(self, stack: str) -> "Rollout":
        """The deployment of ``stack`` alone."""
        return replace(self, stacks=(stack,))

    @property
    def dns_stack(self) -> str | None:
        """The stack of the public zones; None where the environment has none."""
        name = self.settings.name("global", "dns")
        return name if name in self.stacks else None


def read(folder: Path, *, regions: Sequence[str] = (), root: Path = ROOT) -> Rollout:
    """The deployment of ``regions`` (none named: of everything) from the templates in ``folder``.

    :raises RolloutError: there are no templates, or a region is none of the environment's.
    """
    try:
        templates = Templates(folder)
        settings = load(templates.environment, root=root)
    except (AssemblyError, SettingsError) as error:
        raise RolloutError(str(error)) from error
    known = [region.value for region in settings.regions]
    if unknown := [region for region in regions if region not in known]:
        raise RolloutError(f"{settings.environment} has no region {', '.join(unknown)}; it has {', '.join(known)}.")
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["artifacts"]
    order = list(templates.regions)
    chosen = [name for name in order if not regions or _region_of(name, settings) in regions]
    needed = set(_with_dependencies(chosen, manifest))
    return Rollout(
        settings=settings,
        templates=templates,
        stacks=tuple(name for name in order if name in needed),
        bootstrap_version=max(manifest[name]["properties"].get("requiresBootstrapStackVersion", 0) for name in needed),
    )


def fingerprint(folder: Path) -> str:
    """Of the assembly in ``folder``: another one once anything is synthesized there that is not the same."""
    return digest(folder.glob("*.json"), root=folder)


def _region_of(stack: str, settings: Settings) -> str | None:
    """The region whose own stack this is, as ``cdk deploy 'anfl-<environment>-<region>-*'`` understands it."""
    own = re.fullmatch(rf"{settings.name()}-(?P<region>[a-z]+-[a-z]+-\d)-.+", stack)
    return own["region"] if own else None


def _with_dependencies(names: Sequence[str], manifest: dict[str, Any]) -> Iterator[str]:
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in seen or manifest[name]["type"] != "aws:cloudformation:stack":
            continue
        seen.add(name)
        yield name
        waiting += manifest[name].get("dependencies", [])


def synthesize(environment: str, folder: Path) -> None:
    """Write the templates of ``environment`` to ``folder``. No bundles are needed: nobody deploys from it.

    :raises RolloutError: the app refuses; the message is its own.
    """
    context: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    context |= {"env": environment, "aws:cdk:bundling-stacks": []}
    own_programs = str(Path(sys.executable).parent)  # jsii starts whatever `node` stands first on PATH
    variables = os.environ | {
        "CDK_CONTEXT_JSON": json.dumps(context),
        "CDK_OUTDIR": str(folder),
        "CDK_VALIDATION": "false",
        "PATH": os.pathsep.join((own_programs, os.environ.get("PATH", os.defpath))),
    }
    variables.pop("CDK_CLI_VERSION", None)
    try:
        done = subprocess.run(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env=variables,
            capture_output=True,
            text=True,
            timeout=_SYNTHESIS_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RolloutError(f"The templates were not written within {_SYNTHESIS_TIMEOUT} s.") from error
    if done.returncode != 0:
        raise RolloutError(done.stderr.strip() or f"app.py ended with status {done.returncode}")
