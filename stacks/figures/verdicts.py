"""What the templates make of each figure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from stacks.documents import Documents
from stacks.figures import RULES
from stacks.figures.inspection import Figure, Finding, Inspection
from stacks.figures.templates import Templates
from stacks.settings import ROOT, load


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
