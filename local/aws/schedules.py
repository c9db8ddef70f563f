"""EventBridge's schedules: calls the functions that rules with a rate name, as often as they say."""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.events.models import Rule, events_backends

from local.aws.functions import Functions, ServiceError

_MINUTES = {"minute": 1, "hour": 60, "day": 1440}


class Schedules:
    """Follows the rules that are deployed; a rule's first call comes one period after it was made.

    A call that fails is not repeated, as `constructs.schedule` has it: the next one follows.
    """

    def __init__(self, functions: Functions, *, minute: float) -> None:
        """:param minute: seconds that a minute lasts: 60, or fewer in a hurry."""
        self._functions = functions
        self._minute = minute
        self._stopping = threading.Event()
        threading.Thread(target=self._follow, daemon=True, name="schedules").start()

    def close(self) -> None:
        """Call nobody any more."""
        self._stopping.set()

    def _follow(self) -> None:
        due: dict[tuple[str, int], float] = {}
        while not self._stopping.wait(self._minute / 60):
            now, before, due = time.monotonic(), due, {}
            for rule, minutes in _rated():
                following = now + minutes * self._minute
                at = before.get((rule.arn, minutes), following)
                due[rule.arn, minutes] = at if now < at else following
                if now >= at:
                    for target in rule.targets:
                        threading.Thread(target=self._call, args=(rule, target), daemon=True).start()

    def _call(self, rule: Rule, target: dict[str, Any]) -> None:
        event = str(target["Input"]) if target.get("Input") else json.dumps(_own_event(rule))
        try:
            self._functions.invoke(self._functions.find(rule.region_name, target["Arn"]), event.encode())
        except ServiceError as error:
            self._functions.note(f"schedule {rule.name}: {error}")


def _rated() -> Iterator[tuple[Rule, int]]:
    """Rules that call by a rate, and the minutes between two calls."""
    for backend in list(events_backends[DEFAULT_ACCOUNT_ID].values()):
        for bus in list(backend.event_buses.values()):
            for rule in list(bus.rules.values()):
                expression = rule.scheduled_expression or ""
                if rule.state == "ENABLED" and expression.startswith("rate("):
                    count, unit = expression.removeprefix("rate(").rstrip(")").split()
                    yield rule, int(count) * _MINUTES[unit.removesuffix("s")]


def _own_event(rule: Rule) -> dict[str, Any]:
    """What EventBridge sends where a target has no input of its own."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": rule.account_id,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": rule.region_name,
        "resources": [rule.arn],
        "detail": {},
    }
