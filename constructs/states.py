"""States of Amazon States Language (JSONPath), as small as the workflows here need them."""

from collections.abc import Mapping, Sequence
from typing import Any

State = dict[str, Any]
States = dict[str, State]

_RETRY = {
    "ErrorEquals": ["States.ALL"],
    "IntervalSeconds": 2,
    "MaxAttempts": 5,
    "BackoffRate": 2,
    "MaxDelaySeconds": 30,
    "JitterStrategy": "FULL",
}
"""Of every call: the moment at which a workflow runs is one in which AWS is busy."""


def call(service: str, action: str, parameters: Mapping[str, Any], *, select: Mapping[str, str] | None = None) -> State:
    """Call AWS. :param action: as the SDK for Java writes it: ``listObjectsV2``.

    :param select: what to keep of the answer, by JSONPath; everything else is dropped.
    """
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::aws-sdk:{service}:{action}",
        "Parameters": dict(parameters),
        "ResultSelector": dict(select or {}),
        "Retry": [_RETRY],
    }


def invoke(function: str, event: Mapping[str, Any], *, keep: str) -> State:
    """Call a function by its name and wait for its answer; an error of it is one of the state.

    :param keep: JSONPath at which its ``answer`` is added to the input.
    """
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function, "Payload": dict(event)},
        "ResultSelector": {"answer.$": "$.Payload"},
        "ResultPath": keep,
        "Retry": [_RETRY],
    }


def sequence(states: States) -> State:
    """Run ``states`` one after another: those that say nothing else go on to the next, and the last one ends.

    :return: ``StartAt`` and ``States``: a machine, or a branch of one.
    """
    names = list(states)
    linked: States = {}
    for position, (name, state) in enumerate(states.items()):
        own = dict(state)
        if own["Type"] not in {"Choice", "Fail", "Succeed"} and "Next" not in own:
            own |= {"Next": names[position + 1]} if position + 1 < len(names) else {"End": True}
        linked[name] = own
    return {"StartAt": names[0], "States": linked}


def together(branches: Sequence[State], *, keep: str) -> State:
    """Run ``branches`` at the same time; one that fails fails all.

    :param keep: JSONPath at which the branches' answers are added to the input, which goes on otherwise unchanged.
    """
    return {"Type": "Parallel", "Branches": list(branches), "ResultPath": keep}


def require(condition: Mapping[str, Any], *, then: str, error: str, cause: str, state: State | None = None) -> States:
    """Go on to ``then``, which is ``state`` or else the end, if ``condition`` holds, and fail otherwise."""
    return {
        f"is {then}": {"Type": "Choice", "Choices": [{**condition, "Next": then}], "Default": f"not {then}"},
        f"not {then}": {"Type": "Fail", "Error": error, "Cause": cause},
        then: state or {"Type": "Succeed"},
    }


def until(condition: Mapping[str, Any], ask: State, *, then: str, seconds: int) -> States:
    """Ask again and again until ``condition`` holds; the workflow's own time-out bounds it."""
    return {
        f"ask for {then}": {**ask, "Next": f"is {then}"},
        f"is {then}": {"Type": "Choice", "Choices": [{**condition, "Next": then}], "Default": f"wait for {then}"},
        f"wait for {then}": {"Type": "Wait", "Seconds": seconds, "Next": f"ask for {then}"},
        then: {"Type": "Succeed"},
    }
