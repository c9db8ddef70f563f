"""The recovery workflow: its steps, and what each asks of AWS."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stacks.diagrams.flowchart import WORLD, Flowchart
from stacks.figures.templates import Templates


def draw(templates: Templates) -> str:
    """The workflow of the first region, by which it takes its ward's place."""
    machines = templates.of("AWS::StepFunctions::StateMachine")
    chart = Flowchart("LR")
    for machine in machines[:1]:
        definition = _definition(machine.get("DefinitionString"))
        chart.node("start", f"{definition['Comment']}\nat most {definition['TimeoutSeconds'] // 3600} h", shape=WORLD)
        before, name = "start", definition["StartAt"]
        while name:
            step = definition["States"][name]
            chart.node(name, "\n".join((name, *dict.fromkeys(_calls(step)))))
            chart.edge(before, name)
            before, name = name, step.get("Next")
    return str(chart)


def _definition(value: object) -> Mapping[str, Any]:
    """Joined text whose references (accounts) do not matter here."""
    parts = value["Fn::Join"][1] if isinstance(value, dict) else [value]
    return dict(json.loads("".join(part if isinstance(part, str) else "<account>" for part in parts)))


def _calls(step: Mapping[str, Any]) -> Iterator[str]:
    """``dynamodb: scan`` for each kind of call in the branches of ``step``."""
    for branch in step.get("Branches", []):
        for state in branch["States"].values():
            if state["Type"] == "Task":
                service, action = state["Resource"].split(":")[-2:]
                yield f"{service}: {action}"
            yield from _calls(state)
