"""What realises ``recovery``."""

import json
from collections.abc import Iterator
from typing import Any

from stacks.figures.inspection import Inspection, Rules
from stacks.figures.templates import Resource


def _workflows(look: Inspection) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """For each region the workflow that recovers it, wherever that stands."""
    if len(look.settings.regions) == 1:
        look.waive("no other region could take the place of the only one")
        return
    machines = look.templates.of("AWS::StepFunctions::StateMachine")
    for region in look.settings.regions:
        name = look.name("recover", region)
        found = [machine for machine in machines if machine.get("StateMachineName") == name]
        if not found:
            look.miss(look.name("*", "recovery"), f"AWS::StepFunctions::StateMachine {name}")
        for machine in found:
            look.note(machine, f"region of {name}", machine.region, agrees=machine.region != region)
            yield machine, _definition(machine)


def _definition(machine: Resource) -> dict[str, Any]:
    """The definition, with what only the deployment knows left out."""
    text = machine.get("DefinitionString")
    if isinstance(text, dict):
        text = "".join(part if isinstance(part, str) else "" for part in text["Fn::Join"][1])
    return dict(json.loads(text))


def _steps(look: Inspection) -> None:
    """Its states in the order in which they run; each of them does something."""
    for machine, definition in _workflows(look):
        states, name, order = definition["States"], definition["StartAt"], []
        while name is not None:
            order.append(name)
            name = states[name].get("Next")
        calls = {step: _calls(states[step]) for step in order}
        agrees = order == look.figure.value and len(states) == len(order) and all(calls.values())
        found = ", ".join(f"{step} ({count} calls)" for step, count in calls.items())
        look.note(machine, "DefinitionString: States", found, agrees=agrees)


def _calls(state: dict[str, Any]) -> int:
    """How often a state, or one inside it, calls AWS."""
    inside = [inner for branch in state.get("Branches", []) for inner in branch["States"].values()]
    return int(state["Type"] == "Task") + sum(_calls(inner) for inner in inside)


def _rto(look: Inspection) -> None:
    wanted = int(look.settings.recovery.rto.total_seconds())
    for machine, definition in _workflows(look):
        found = definition.get("TimeoutSeconds")
        look.note(machine, "DefinitionString: TimeoutSeconds", found, agrees=found == wanted)


RULES: Rules = {
    "recovery.rto": _rto,
    "recovery.steps": _steps,
}
