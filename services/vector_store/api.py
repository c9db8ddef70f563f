"""HTTP around `anfl.vectors.operations`: where each request is read, run and answered."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import msgspec

from anfl.auth import audit
from anfl.auth.principal import Principal
from anfl.auth.verifier import refused
from anfl.decoding import convert, parse
from anfl.http.admission import Admission, Room
from anfl.http.answers import Answer, Response, Stream
from anfl.http.requests import Claim, Request
from anfl.http.service import Handler
from anfl.http.shared_threads import TENANT
from anfl.nodes.forwarding import Forwarding
from anfl.nodes.handing_over import HandingOver
from anfl.nodes.sending import Repeatable, always, by_request_id, never
from anfl.problems import invalid
from anfl.vectors.imports.imports import Imports
from anfl.vectors.imports.operations import IMPORT_CALLS
from anfl.vectors.operations import OPERATIONS, STREAMS, Call, Outcome, Repetition, Streamed
from anfl.vectors.requests import MAX_BODY_BYTES, Rows
from anfl.vectors.store import VectorStore
from services.vector_store.directions import Directions

NDJSON = b"application/x-ndjson"
AT_ONCE_BYTES = 64 * 2**10
"""Largest body that is decoded in the event loop: it takes some tens of microseconds."""
REQUESTS = Room(requests=256, body_bytes=2 * MAX_BODY_BYTES)
"""Decoded, a body can take sixteen times its size."""
FORWARDED = Room(requests=128, body_bytes=MAX_BODY_BYTES)
"""Requests whose answer is awaited from another node; the next ones are carried out here."""
HANDED_OVER = REQUESTS
"""Requests whose answer is awaited from the process that writes; it refuses what is more than it has room for."""
STREAMED = Room(requests=8, body_bytes=0)
"""Exports under way at once: each holds a page of up to 9 MiB."""
REPEATABLE: dict[Repetition, Repeatable] = {
    Repetition.HARMLESS: always,
    Repetition.BY_REQUEST_ID: by_request_id,
    Repetition.HARMFUL: never,
}
_encoder = msgspec.json.Encoder()
IsRevoked = Callable[[Principal], bool]
"""Whether a principal's login was taken back since it was authenticated; may block."""
_Given = bytes | dict[str, str]
_Run = Callable[[str, str, object], Outcome]
"""``(tenant, name, request)``."""
_AtOnce = Callable[[str, str, object], object]
"""As `_Run`, for an event loop: the answer alone, None where it would have to wait."""


@dataclass(frozen=True, kw_only=True)
class VectorApi:
    """The routes over a store and its imports. What may wait or take long runs in ``threads``, which tenants share, the
    rest in the event loop."""

    store: VectorStore
    imports: Imports
    threads: Executor
    requests: Admission
    streams: Admission
    is_revoked: IsRevoked
    forwarding: Forwarding | None = None
    """None: this node answers everything itself."""
    handing_over: HandingOver | None = None
    """None: this process writes."""
    directions: Directions

    def handlers(self) -> dict[tuple[str, str], Handler]:
        """The routes, by (method, path)."""
        found: list[tuple[Call, Handler]] = []
        for operation in OPERATIONS:
            at_once = None if operation.at_once is None else partial(operation.at_once, self.store)
            found.append((operation, self._answered(operation, partial(operation.run, self.store), at_once)))
        found += [(call, self._answered(call, partial(call.run, self.imports))) for call in IMPORT_CALLS]
        found += [(streamed, self._streamed(streamed)) for streamed in STREAMS]
        return {
            (call.method, call.path): self.directions.around(self._forwarded(call, handler)) for call, handler in found
        }

    def _forwarded(self, call: Call, handler: Handler) -> Handler:
        if not call.in_memory:
            return handler
        anywhere = handler
        writes, repeatable = call.repetition is not Repetition.HARMLESS, REPEATABLE[call.repetition]
        if writes and self.handing_over is not None:
            handler = self.handing_over.around(handler, repeatable=repeatable)
        if self.forwarding is not None:
            handler = self.forwarding.around(handler, writes=writes, repeatable=repeatable)

        async def handle(request: Request, principal: Principal) -> Response:
            known = self.store.names.peek(principal.tenant, request.parameters["name"])
            is_anywhere = known is not None and not self.store.lives_on_nodes(known[0])
            return await (anywhere if is_anywhere else handler)(request, principal)

        return handler if handler is anywhere else handle

    def _answered(self, call: Call, run: _Run, at_once: _AtOnce | None = None) -> Handler:
        async def handle(request: Request, principal: Principal) -> Response:
            name = request.parameters.get("name", "")
            with self.requests.admitted(principal.tenant, request.declared_size) as inside:
                given = await _given(call, request, inside.claim)
                small = len(given) <= AT_ONCE_BYTES
                asked = _asked(call, given) if small else None
                if small and at_once is not None:
                    found = at_once(principal.tenant, name, asked)
                    if found is not None:
                        return Answer(_encoder.encode(found))

                TENANT.set(principal.tenant)

                def work() -> Answer:
                    outcome = run(principal.tenant, name, asked if small else _asked(call, given))
                    return Answer(_encoder.encode(outcome.answer), outcome.status)

                return await asyncio.get_running_loop().run_in_executor(self.threads, work)

        return handle

    def _streamed(self, streamed: Streamed) -> Handler:
        async def handle(request: Request, principal: Principal) -> Response:
            asked = _asked(streamed, await _given(streamed, request))
            pages = streamed.pages(self.store, principal.tenant, request.parameters["name"], asked)
            asked_again = audit.Asked(request_id=request.id, method=request.method, path=request.path)
            lines = self._lines(pages, principal, asked_again)
            first = await anext(lines)  # what is refused is refused before the answer begins
            return Stream(_resumed(first, lines), media_type=NDJSON)

        return handle

    async def _lines(self, pages: Iterator[Rows], principal: Principal, asked: audit.Asked) -> AsyncGenerator[bytes]:
        def following() -> bytes | None:
            if self.is_revoked(principal):  # an answer may take as long as its reader likes
                problem = refused("token_revoked", "the token was revoked meanwhile; get a new one")
                audit.refused(asked, problem, principal)
                raise problem
            page = next(pages, None)
            return None if page is None else _encoder.encode_lines(page.vectors)

        loop = asyncio.get_running_loop()
        TENANT.set(principal.tenant)
        with self.streams.admitted(principal.tenant, 0):
            while (lines := await loop.run_in_executor(self.threads, following)) is not None:
                yield lines


async def _resumed(first: bytes, following: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    try:
        yield first
        async for part in following:
            yield part
    finally:
        await following.aclose()


async def _given(call: Call, request: Request, claim: Claim | None = None) -> _Given:
    """What came with the request, not decoded yet."""
    if call.has_body or call.takes is None:
        for name in request.query():
            raise invalid("This call takes nothing in the query string.", field=name)
    if call.takes is None:
        return b""
    if not call.has_body:
        return _together(request.query(), {name: request.parameters[name] for name in call.in_path})
    request.check_json()
    return await (request.body() if claim is None else request.body(claim=claim))


def _together(query: dict[str, str], in_path: dict[str, str]) -> dict[str, str]:
    for name in query.keys() & in_path.keys():
        raise invalid("It stands in the path.", field=name)
    return query | in_path


def _asked(call: Call, given: _Given) -> object:
    if call.takes is None:
        return None
    if isinstance(given, bytes):
        return parse(given, call.takes)
    members: dict[str, object] = dict(given)
    if "filter" in given:
        try:
            members["filter"] = msgspec.json.decode(given["filter"])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise invalid(f"Not JSON: {error}.", field="filter") from None
    if "include" in given:
        members["include"] = [part for part in given["include"].split(",") if part]
    return convert(members, call.takes, text=True)
