"""A registry whose processes die, before or after any write of table, bucket or queue, and others that go on."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from anfl.problems import Problem
from anfl.registry import audit
from anfl.registry.audit import Entry
from anfl.registry.entities import PROMPT_TAG
from anfl.registry.outbox import GRACE_MS
from anfl.registry.registry import Registry
from tests.unit.registry.conftest import Time, items, past_the_registry, received
from tests.unit.registry.test_artifact_store import upload

WRITES = ("PutItem", "TransactWriteItems", "BatchWriteItem", "SendMessage", "PutObject", "DeleteObjects", "CopyObject")
PLACES = ("m/1", "m/2")
EVENTS = {
    "model.created": "REGISTERED_MODEL.CREATED",
    "version.created": "MODEL_VERSION.CREATED",
    "version.tag.set": "MODEL_VERSION_TAG.SET",
    "version.tag.deleted": "MODEL_VERSION_TAG.DELETED",
    "alias.set": "MODEL_VERSION_ALIAS.CREATED",
    "alias.deleted": "MODEL_VERSION_ALIAS.DELETED",
}
"""What is told of an entry of the audit, by its action."""
PROMPT_EVENTS = {
    "model.created": "PROMPT.CREATED",
    "model.tag.set": "PROMPT_TAG.SET",
    "model.tag.deleted": "PROMPT_TAG.DELETED",
    "version.created": "PROMPT_VERSION.CREATED",
    "version.tag.set": "PROMPT_VERSION_TAG.SET",
    "version.tag.deleted": "PROMPT_VERSION_TAG.DELETED",
    "alias.set": "PROMPT_ALIAS.CREATED",
    "alias.deleted": "PROMPT_ALIAS.DELETED",
}
"""The same of prompts."""


class DiedError(BaseException):
    """The process is gone: nothing of it runs on, no handler either."""


@dataclass(frozen=True)
class Death:
    """When a process dies: it survives so many writes, and whether the next is still carried out."""

    survives: int
    written: bool


DEATHS = st.builds(Death, st.integers(0, 4), st.booleans())
"""Most operations, and sending what they promise, need fewer writes."""


@dataclass
class Outcome:
    """How often a change was made, and the code of the refusal, where one came."""

    times: int = 0
    refused: str | None = None


class Mortal(RuleBasedStateMachine):
    """Each step runs an operation in a process that may die, and once more in another one as a client retries.

    After each step, what it promised must have been sent, by whoever finds it.
    """

    process: Callable[[Time], Registry]
    dynamodb: Any
    s3: Any
    sqs: Any
    events_url: str
    queue_url: str

    def __init__(self) -> None:
        super().__init__()
        with past_the_registry(self.dynamodb):
            for item in items(self.dynamodb):
                self.dynamodb.delete_item(TableName="registry", Key={"pk": item["pk"], "sk": item["sk"]})
        for url in (self.events_url, self.queue_url):
            self.taken(url)
        self.time = Time()
        self.told: dict[str, tuple[str, ...]] = {}
        self.asked: dict[str, tuple[str, int]] = {}

    @initialize()
    def begin(self) -> None:
        registry = self.another()
        for place in PLACES:
            list(registry.artifacts.delete("acme", place))
            upload(registry, f"{place}/weights", b"x")
        events = [tuple(name.split(".")) for name in (*EVENTS.values(), *PROMPT_EVENTS.values())]
        registry.webhooks.create(
            "acme", by="ana", name="hook", url="https://hooks.example.com/", events=[(a, b) for a, b in events]
        )

    def another(self) -> Registry:
        return self.process(self.time)

    def run(self, death: Death, operation: Callable[[Registry], object]) -> Outcome:
        """Carry out an operation, in a process that may die, and where no answer came in another one."""
        outcome = Outcome()
        answered = False
        with self._watched(outcome, death):
            try:
                process = self.another()
                operation(process)
                answered = True
                process.outbox.deliver()
            except DiedError:
                pass
            except Problem as problem:
                outcome.refused = problem.code
                return outcome
        if not answered:
            with self._watched(outcome, None):
                try:
                    operation(self.another())  # and it dies before it sends what it promised
                except Problem as problem:
                    outcome.refused = problem.code
        return outcome

    @contextmanager
    def _watched(self, outcome: Outcome, death: Death | None) -> Iterator[None]:
        """Count changes in ``outcome``, and die."""
        writes = 0
        changing = False

        def begins(params: Any, **_: Any) -> None:
            nonlocal changing
            changing = "#audit#" in json.dumps(params, default=str)

        def before(model: Any, **_: Any) -> None:
            nonlocal writes
            writes += model.name in WRITES
            if death is not None and model.name in WRITES and writes > death.survives and not death.written:
                raise DiedError

        def after(model: Any, http_response: Any, **_: Any) -> None:
            if model.name in WRITES:
                outcome.times += model.name == "TransactWriteItems" and changing and http_response.status_code == 200
                if death is not None and writes > death.survives:
                    raise DiedError

        hooks: list[tuple[Any, str, Any]] = [
            (self.dynamodb, "provide-client-params.dynamodb", begins),
            *((client, f"before-call.{name}", before) for client, name in self._clients()),
            *((client, f"after-call.{name}", after) for client, name in self._clients()),
        ]
        for client, event, hook in hooks:
            client.meta.events.register(event, hook)
        try:
            yield
        finally:
            for client, event, hook in hooks:
                client.meta.events.unregister(event, hook)

    def _clients(self) -> list[tuple[Any, str]]:
        return [(self.dynamodb, "dynamodb"), (self.sqs, "sqs"), (self.s3, "s3")]

    def taken(self, url: str) -> list[dict[str, Any]]:
        """The messages of a queue, which are gone then."""
        records = received(self.sqs, url)
        for record in records:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=record["receiptHandle"])
        return records

    def chains(self) -> Iterator[list[Entry]]:
        """The entries of every model's audit, each chain verified."""
        registry = self.another()
        for bearer in {bearer.id: bearer for bearer in registry.trails.chains("acme").models}.values():
            page = registry.trails.of_model("acme", bearer.name, model_id=bearer.id, limit=1000)
            assert audit.verify(bearer.id, page.entries, page.head) is None
            yield page.entries
        own = registry.trails.of_tenant("acme", limit=1000)
        assert audit.verify(own.chain, own.entries, own.head) is None

    @invariant()
    def every_change_is_told_once_whoever_died(self) -> None:
        """By its id: the same letter may come twice."""
        self.time.now += GRACE_MS / 1000 + 1
        self.another().outbox.sweep()
        for record in self.taken(self.events_url):
            told = json.loads(record["body"])
            data = told["data"]
            about = (told["event"], data["name"], data.get("version", ""), data.get("key") or data.get("alias", ""))
            assert self.told.setdefault(told["id"], about) == about
        for record in self.taken(self.queue_url):
            asked = json.loads(record["body"])
            self.asked[asked["id"]] = (asked["model_id"], asked["version"])
        events: Counter[tuple[str, ...]] = Counter()
        requests: Counter[tuple[str, int | None]] = Counter()
        for entries in self.chains():
            name, names = "", EVENTS
            for entry in entries:
                name = entry.after.get("name", name)
                if entry.action == "model.created" and PROMPT_TAG in entry.after["tags"]:
                    names = PROMPT_EVENTS
                if entry.action in names:
                    events[(names[entry.action], name, *_about(entry))] += 1
                requests[entry.chain, entry.version] += entry.after.get("validation") == "PENDING"
        assert Counter(self.told.values()) == events
        assert Counter(self.asked.values()) == +requests
        assert not [item for item in items(self.dynamodb) if item["pk"]["S"] in ("#outbox", "#sweeper")]


def _about(entry: Entry) -> tuple[str, str]:
    """Version and key of an event, as the audit tells them."""
    named = {**entry.after.get("tags", {}), **entry.after.get("aliases", {})}
    if entry.action in ("model.created", "version.created"):
        named = {}
    version = "" if entry.version is None or entry.action == "alias.deleted" else str(entry.version)
    return version, next(iter(named), "")
