"""The vector store's operations without HTTP: invoked directly, or from the queue of import chunks.

Direct events: ``{"operation": "query", "tenant"?, "collection"?, …}`` with the members of the operation's request
beside them; the answer is ``{"status": 200, "result": …}`` or ``{"status": 4xx, "problem": …}``. A message of the queue
holds one such event as JSON; one that fails returns to the queue, and in the end to its dead letters.
"""

import json
import logging
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

import msgspec

from anfl import aws, environment, resources
from anfl.problems import Problem, invalid
from anfl.telemetry import embedded, logs
from anfl.vectors.build import Settings, build_store
from anfl.vectors.model import TENANT_PATTERN
from anfl.vectors.operations import named
from anfl.vectors.requests import convert, parse
from anfl.vectors.store import VectorStore

logs.configure()
_log = logging.getLogger(__name__)


class Tenancy(msgspec.Struct, frozen=True, kw_only=True):
    """The function's environment, beside `anfl.vectors.build.Settings`."""

    default_tenant: str | None = msgspec.field(default=None, name="DEFAULT_TENANT")


class Addressed(msgspec.Struct, frozen=True, kw_only=True):
    """Whose collection an event is about."""

    tenant: Annotated[str, msgspec.Meta(pattern=TENANT_PATTERN)] | None = None
    collection: str | None = None


class Function:
    """The function over a store."""

    def __init__(self, store: VectorStore, *, default_tenant: str | None = None) -> None:
        self._store = store
        self._default_tenant = default_tenant

    def answer(self, event: object) -> dict[str, Any]:
        """Answer any event: a batch of the queue's, or a direct one."""
        if isinstance(event, dict) and "Records" in event:
            return self._batch(event["Records"])
        try:
            return self._direct(json.dumps(event).encode())
        except Problem as problem:
            return {"status": problem.status, "problem": problem.document()}

    def _direct(self, text: bytes) -> dict[str, Any]:
        """Carry out an event. As text, so that what JSON over HTTP may not hold (NaN, lone surrogates) is refused."""
        with embedded.call(resources.Function.VECTOR_PROCESSING) as call:
            return self._carry_out(text, call)

    def _carry_out(self, text: bytes, call: embedded.Call) -> dict[str, Any]:
        event = parse(text, dict[str, Any])
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
        return {"status": outcome.status, "result": msgspec.to_builtins(outcome.answer)}

    def _batch(self, records: list[Mapping[str, Any]]) -> dict[str, Any]:
        failed: list[dict[str, str]] = []
        for record in records:
            message_id = str(record["messageId"])
            try:
                self._direct(str(record["body"]).encode())
            except Exception as error:
                _log.exception("message failed", extra={"message_id": message_id, "reason": str(error)})
                failed.append({"itemIdentifier": message_id})
        return {"batchItemFailures": failed}


@cache
def _function() -> Function:
    store = build_store(environment.load(Settings), aws.session())
    return Function(store, default_tenant=environment.load(Tenancy).default_tenant)


def handler(event: object, _context: object) -> dict[str, Any]:
    """The Lambda entry point."""
    return _function().answer(event)
