"""Verdicts for readers: lines on a terminal, or a page of Markdown."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from stacks.figures.inspection import Finding
from stacks.figures.verdicts import Status, Verdict
from stacks.units import Region

_WIDTH = 60
"""Of a value in a table."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One property of one resource, the same in each of ``regions``."""

    regions: tuple[str, ...]
    """Empty for what stands in a global stack."""
    before: str
    after: str
    """What stands around the region in the stack's name."""
    resource: str
    property: str
    value: str
    agrees: bool


def table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """A figure a line, and below it its resources; what differs in the region alone is one line."""
    for verdict in verdicts:
        mark = "" if verdict.status is Status.REALISED else f"   [{verdict.status}: {verdict.reason}]"
        yield f"{verdict.figure} = {_text(verdict.value)}{mark}"
        cells = [_cells(row) for row in _rows(verdict.realised_by)]
        widths = [max((len(row[column]) for row in cells), default=0) for column in range(3)]
        for stack, resource, name, value in cells:
            yield f"  {stack:{widths[0]}}  {resource:{widths[1]}}  {name:{widths[2]}}  {value}".rstrip()
    yield _summary(verdicts)


def markdown(verdicts: Sequence[Verdict], environment: str) -> Iterator[str]:
    """A page: a section of the architecture a chapter, a figure a table."""
    yield f"# Conformance of `{environment}`"
    yield ""
    yield f"Which resource of which template realises each figure of `architecture.yaml`. {_summary(verdicts)}."
    yield "Made from the synthesized templates by `make docs`; a test fails where this page differs from them."
    yield "`make conformance` fails for a figure that nothing realises or that a template contradicts."
    yield "`<region>` in a name or value stands for the row's own region."
    for section, members in groupby(verdicts, key=lambda verdict: verdict.figure.partition(".")[0]):
        yield from ("", f"## {section}")
        for verdict in members:
            mark = "" if verdict.status is Status.REALISED else f" ({verdict.status}: {verdict.reason})"
            yield from ("", f"### `{verdict.figure}` = `{_text(verdict.value)}`{mark}")
            rows = _rows(verdict.realised_by)
            if rows:
                yield from ("", "| region | stack | resource | property | value |", "|---|---|---|---|---|")
            for row in rows:
                regions = ", ".join(row.regions) or "global"
                stack = f"{row.before}<region>{row.after}" if row.regions else row.before
                cells = (regions, *(f"`{_cell(text)}`" for text in (stack, row.resource, row.property, row.value)))
                yield f"| {' | '.join(cells)} |{'' if row.agrees else ' ✗'}"


def _summary(verdicts: Sequence[Verdict]) -> str:
    counts = ", ".join(
        f"{count} {status}" for status in Status if (count := sum(verdict.status is status for verdict in verdicts))
    )
    return f"{len(verdicts)} figures: {counts}"


def _cells(row: Row) -> tuple[str, str, str, str]:
    """``{us-west-1,us-east-1}`` in a stack's name stands for the same row in several regions."""
    where = row.regions[0] if len(row.regions) == 1 else "{" + ",".join(row.regions) + "}" if row.regions else ""
    value = row.value
    if not row.agrees:
        value += "   ✗ missing" if row.resource == "–" else "   ✗"
    return f"{row.before}{where}{row.after}", row.resource, row.property, value


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _rows(findings: Sequence[Finding]) -> list[Row]:
    """Equal findings of several regions as one row."""
    regions: dict[tuple[str, str, str, str, str, bool], list[str]] = {}
    for finding in findings:
        before, region, after = _around_region(finding.stack)
        value = _text(finding.value)
        if region:
            value = value.replace(region, "<region>")
        row = (before, after, finding.resource or "–", _short(finding.property), value, finding.agrees)
        regions.setdefault(row, []).append(region)
    return [
        Row(
            regions=tuple(filter(None, names)),
            before=before,
            after=after,
            resource=resource,
            property=name,
            value=value,
            agrees=agrees,
        )
        for (before, after, resource, name, value, agrees), names in regions.items()
    ]


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
