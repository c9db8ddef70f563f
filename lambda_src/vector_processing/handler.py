"""The vector store's operations without HTTP, and chunks of imports.

Direct events: ``{"operation": "query", "tenant"?, "collection"?, …}`` with the members of the operation's request
beside them; the answer is ``{"status": 200, "result": …}`` or ``{"status": 4xx, "problem": …}``.
``{"operation": "rewrap_keys", "after"?: …}`` moves wrapped keys to the active version (`anfl keys rewrap`), and is
answered with an `anfl.crypto.rewrapped.Rewrapped`; ``{"operation": "rewrap_due"}``, from a schedule, does a part of it
and is answered with an `anfl.vectors.due_rewrapping.Progress`. A message of the queue is an
`anfl.vectors.imports.model.Chunk`; one that fails returns to the queue, and in the end to its dead letters.
"""

import json
from collections.abc import Callable
from functools import cache, partial
from typing import Annotated, Any

import msgspec

from anfl import aws, environment, resources, start
from anfl.crypto.rewrapped import Rewrap
from anfl.crypto.trouble import key_unavailable
from anfl.decoding import convert, parse
from anfl.invocation import Context, empty_folder, nearly_over, seconds_left
from anfl.messages import Message, one_by_one
from anfl.problems import Problem, invalid
from anfl.resources import REWRAP, REWRAP_DUE
from anfl.telemetry import embedded
from anfl.vectors.build import Settings, build_store, due_rewrapping_of, rewrapping_of
from anfl.vectors.due_rewrapping import DueRewrapping
from anfl.vectors.imports.build import build_chunk_worker, sqs_of
from anfl.vectors.imports.deliveries import Deliveries
from anfl.vectors.model import TENANT_PATTERN
from anfl.vectors.operations import named
from anfl.vectors.refusals import Refusal
from anfl.vectors.rewrapping import Rewrapping
from anfl.vectors.store import VectorStore

start.begin()


MEMORY_BYTES = 384 * 2**20
"""Most bytes of collections that stay in the function's memory."""
ANSWER_BYTES = 6_000_000
"""Of an answer, the most: Lambda passes on 6 MiB, and makes an error of ours of what is larger."""
REWRAP_MARGIN_SECONDS = 60.0
"""Before the end of an invocation no other collection's keys are begun with."""
CHUNK = "import_chunk"
"""What a message of the queue is called among the operations that are measured."""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The function's environment, beside `anfl.vectors.build.Settings`."""

    environment: str = msgspec.field(name="ANFL_ENVIRONMENT")
    chunks_url: str = msgspec.field(name="CHUNKS_QUEUE_URL")
    default_tenant: str | None = msgspec.field(default=None, name="DEFAULT_TENANT")


class Addressed(msgspec.Struct, frozen=True, kw_only=True):
    """Whose collection an event is about."""

    tenant: Annotated[str, msgspec.Meta(pattern=TENANT_PATTERN)] | None = None
    collection: str | None = None


class Function:
    """The function over a store."""

    def __init__(
        self,
        store: VectorStore,
        deliveries: Deliveries,
        *,
        rewrapping: Callable[[], Rewrapping | None] = lambda: None,
        due: Callable[[], DueRewrapping | None] = lambda: None,
        environment: str = "",
        default_tenant: str | None = None,
    ) -> None:
        """:param rewrapping: called when it is asked for, which is seldom; None where there is no Vault.

        :param due: likewise, what schedules ask for. :param environment: what its metrics name.
        """
        self._store = store
        self._deliveries = deliveries
        self._rewrapping = rewrapping
        self._due = due
        self._environment = environment
        self._default_tenant = default_tenant

    def answer(self, event: object, context: Context) -> dict[str, Any]:
        """Answer any event: a batch of the queue's, or a direct one."""
        if isinstance(event, dict) and "Records" in event:
            return one_by_one(event["Records"], partial(self._chunk, context=context))
        try:
            return self._direct(json.dumps(event).encode(), context)
        except Problem as problem:
            return {"status": problem.status, "problem": problem.document()}

    def _direct(self, text: bytes, context: Context) -> dict[str, Any]:
        """Carry out an event. As text, so that what JSON over HTTP may not hold (NaN, lone surrogates) is refused."""
        with embedded.call(resources.Function.VECTOR_PROCESSING) as call:
            event = parse(text, dict[str, Any])
            if event.get("operation") == REWRAP:
                call.operation = REWRAP
                del event["operation"]
                return self._rewrap(convert(event, Rewrap), context)
            if event == {"operation": REWRAP_DUE}:
                call.operation = REWRAP_DUE
                return self._rewrap_due(context)
            return self._carry_out(event, call)

    def _rewrap(self, event: Rewrap, context: Context) -> dict[str, Any]:
        rewrapping = self._rewrapping()
        if rewrapping is None:
            raise key_unavailable("this environment has no Vault")
        moved = rewrapping.turn(after=event.after, enough=nearly_over(context, margin=REWRAP_MARGIN_SECONDS))
        return {"status": 200, "result": msgspec.to_builtins(moved)}

    def _rewrap_due(self, context: Context) -> dict[str, Any]:
        due = self._due()
        if due is None:
            raise key_unavailable("this environment has no Vault")
        with embedded.keys_behind(environment=self._environment) as say:
            progress = due.run(enough=nearly_over(context, margin=REWRAP_MARGIN_SECONDS))
            say(progress.behind)
        return {"status": 200, "result": msgspec.to_builtins(progress)}

    def _carry_out(self, event: dict[str, Any], call: embedded.Call) -> dict[str, Any]:
        operation = named(event.get("operation"))
        call.operation = operation.name
        addressed = convert(event, Addressed)
        tenant = addressed.tenant or self._default_tenant
        if tenant is None:
            raise invalid("Name the tenant; this environment has no default one.", field="tenant")
        if operation.names_collection and addressed.collection is None:
            raise invalid(f"{operation.name} takes the name of a collection.", field="collection")
        address = {"operation", "tenant", *(["collection"] if operation.names_collection else [])}
        rest = {name: value for name, value in event.items() if name not in address}
        if operation.takes is None and rest:
            raise invalid(f"{operation.name} takes nothing of this name.", field=next(iter(rest)))
        request = None if operation.takes is None else convert(rest, operation.takes)
        outcome = operation.run(self._store, tenant, addressed.collection or "", request)
        result = msgspec.to_builtins(outcome.answer)
        if len(json.dumps(result)) > ANSWER_BYTES:
            detail = f"The answer would be larger than {ANSWER_BYTES} bytes; ask for fewer rows, or for less of each."
            raise invalid(detail, code=Refusal.ANSWER_TOO_LARGE)
        return {"status": outcome.status, "result": result}

    def _chunk(self, message: Message, *, context: Context) -> None:
        with embedded.call(resources.Function.VECTOR_PROCESSING) as call:
            call.operation = CHUNK
            self._deliveries.carry_out(message, seconds=seconds_left(context))


@cache
def _function() -> Function:
    settings, own = environment.load(Settings), environment.load(Environment)
    settings = msgspec.structs.replace(settings, memory_bytes=min(settings.memory_bytes, MEMORY_BYTES))
    session = aws.session()
    scratch = empty_folder("anfl-vector-processing")
    store = build_store(settings, session, part=resources.Function.VECTOR_PROCESSING, scratch=scratch)
    worker = build_chunk_worker(store, settings, session)
    deliveries = Deliveries(worker, client=sqs_of(session), url=own.chunks_url)
    rewrapping = cache(partial(rewrapping_of, settings, session, part=resources.Function.VECTOR_PROCESSING))
    due = cache(partial(due_rewrapping_of, settings, session, part=resources.Function.VECTOR_PROCESSING))
    return Function(
        store,
        deliveries,
        rewrapping=rewrapping,
        due=due,
        environment=own.environment,
        default_tenant=own.default_tenant,
    )


def handler(event: object, context: Context) -> dict[str, Any]:
    """The Lambda entry point."""
    return _function().answer(event, context)
