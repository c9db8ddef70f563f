"""Which resources of the synthesized templates realise each figure of the architecture.

``python -m stacks.conformance cdk.out`` prints it; the exit status is 1 where a template disagrees with a figure, or
nothing realises one that the environment has a use for.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from stacks.documents import Documents
from stacks.figures import RULES
from stacks.figures.inspection import Figure, Finding, Inspection
from stacks.figures.templates import AssemblyError, Templates
from stacks.settings import ROOT, SettingsError, load
from stacks.units import Region

_WIDTH = 60
"""Of a value in the table."""


class Status(StrEnum):
    """How a figure stands."""

    REALISED = "realised"
    NOT_HERE = "not here"
    """The environment has no use for it."""
    DISAGREES = "disagrees"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One figure and what the templates make of it."""

    figure: str
    value: object
    status: Status
    reason: str
    realised_by: tuple[Finding, ...]


def figures_in(tree: object, path: str = "") -> Iterator[Figure]:
    """Every leaf of the architecture, in its order."""
    if isinstance(tree, dict):
        for key, item in tree.items():
            yield from figures_in(item, f"{path}.{key}" if path else key)
    elif isinstance(tree, list) and tree and all(isinstance(item, dict) for item in tree):
        for item in tree:
            yield from figures_in(item, f"{path}[{item['name']}]")
    else:
        yield Figure(path=path, value=tree)


def judge(folder: Path, root: Path = ROOT) -> list[Verdict]:
    """Hold every figure against the templates in ``folder``.

    :param root: folder of ``architecture.yaml`` and ``environments/``.
    :raises AssemblyError: ``folder`` holds no templates of one environment.
    :raises SettingsError: the architecture itself is wrong.
    """
    templates = Templates(folder)
    settings = load(templates.environment, root=root)
    architecture = root / "architecture.yaml"
    changes = root / "environments" / f"{templates.environment}.yaml"
    sections = Documents(architecture).tree.keys()
    tree = {key: item for key, item in Documents(architecture, changes).tree.items() if key in sections}
    looks = [Inspection(figure=figure, templates=templates, settings=settings) for figure in figures_in(tree)]
    return [_verdict(look) for look in looks]


def _verdict(look: Inspection) -> Verdict:
    rule = RULES.get(look.figure.pattern)
    if rule is not None:
        rule(look)
    if not all(finding.agrees for finding in look.findings):
        status, reason = Status.DISAGREES, "a template says otherwise"
    elif look.findings:
        status, reason = Status.REALISED, ""
    elif look.waivers:
        status, reason = Status.NOT_HERE, "; ".join(look.waivers)
    else:
        status, reason = Status.DISAGREES, "nothing realises it"
    return Verdict(
        figure=look.figure.path,
        value=look.figure.value,
        status=status,
        reason=reason,
        realised_by=tuple(look.findings),
    )


def table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """The verdicts as lines: a figure, and below it its resources; what differs in the region alone is one line."""
    for verdict in verdicts:
        mark = "" if verdict.status is Status.REALISED else f"   [{verdict.status}: {verdict.reason}]"
        yield f"{verdict.figure} = {_text(verdict.value)}{mark}"
        rows = _merged(verdict.realised_by)
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
        for stack, resource, name, value in rows:
            yield f"  {stack:{widths[0]}}  {resource:{widths[1]}}  {name:{widths[2]}}  {value}".rstrip()
    counts = ", ".join(
        f"{count} {status}" for status in Status if (count := sum(verdict.status is status for verdict in verdicts))
    )
    yield f"{len(verdicts)} figures: {counts}"


def _merged(findings: Sequence[Finding]) -> list[tuple[str, str, str, str]]:
    """Rows of the table; ``{us-west-1,us-east-1}`` in a stack's name stands for the same row in several regions."""
    regions: dict[tuple[str, str, str, str, str], list[str]] = {}
    for finding in findings:
        before, region, after = _around_region(finding.stack)
        value = _text(finding.value)
        if region:
            value = value.replace(region, "<region>")
        if not finding.agrees:
            value += "   ✗ missing" if finding.resource is None else "   ✗"
        row = (before, after, finding.resource or "–", _short(finding.property), value)
        regions.setdefault(row, []).append(region)
    merged = []
    for (before, after, resource, name, value), names in regions.items():
        where = names[0] if len(names) == 1 else "{" + ",".join(names) + "}"
        merged.append((f"{before}{where}{after}", resource, name, value))
    return merged


def _around_region(stack: str) -> tuple[str, str, str]:
    for region in Region:
        before, found, after = stack.partition(region)
        if found:
            return before, found, after
    return stack, "", ""


def _short(path: str) -> str:
    """The end of a long path; the logical id and it are enough to find the whole."""
    if len(path) <= _WIDTH:
        return path
    return f"{path.partition('.')[0]}…{path.rpartition('.')[2]}"


def _text(value: object) -> str:
    if isinstance(value, dict) and len(value) == 1:
        ((function, argument),) = value.items()
        if function in {"Fn::ImportValue", "Fn::GetStackOutput", "Ref"}:
            return _text(" ".join(argument.values()) if isinstance(argument, dict) else argument)
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or with ``--json`` every finding; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stacks.conformance", description=__doc__)
    parser.add_argument("folder", type=Path, help="what cdk synth wrote: cdk.out")
    parser.add_argument("--json", action="store_true", help="every finding, unabridged")
    chosen = parser.parse_args(arguments)
    try:
        verdicts = judge(chosen.folder)
    except (AssemblyError, SettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if chosen.json:
        text = json.dumps([asdict(verdict) for verdict in verdicts], indent=2, ensure_ascii=False)
    else:
        text = "\n".join(table(verdicts))
    sys.stdout.write(f"{text}\n")
    return int(any(verdict.status is Status.DISAGREES for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
