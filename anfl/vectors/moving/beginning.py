"""How a move begins: what is moved says so, and then the new collection is made.

Two regions that begin at the same time do not see each other: each has the catalogue by itself, and the later note
stays. So of an engine that is written everywhere, a move waits until what others have noted is here. Nothing has come
of it until then: no collection, no stage that writers have to know. Whoever finds another move there gives up.
"""

import uuid
from contextlib import suppress

import msgspec

from anfl.problems import Problem, conflict, invalid
from anfl.vectors import replication
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.engines import Engines
from anfl.vectors.hnsw import NAME as HNSW
from anfl.vectors.homes import check_home
from anfl.vectors.management import Management
from anfl.vectors.model import MAX_NAME, Collection, CollectionSettings, IndexSettings
from anfl.vectors.moving.records import Filling, Moving
from anfl.vectors.moving.requests import Move
from anfl.vectors.moving.turns import LostError, moving_of
from anfl.vectors.refusals import Refusal


class Beginnings:
    """Safe for threads, and for any number of processes."""

    def __init__(self, catalogue: Catalogue, engines: Engines, management: Management, clock: Clock) -> None:
        self._catalogue = catalogue
        self._engines = engines
        self._management = management
        self._clock = clock

    def begin(self, found: Collection, name: str, request: Move) -> Collection:
        """Note that ``found``, which is called ``name``, is moved; returns it as it is noted then. Can be repeated.

        :raises Problem: 400 for the engine, or for what it cannot hold; 409 ``alias_needed``, ``collection_changed``,
            its owner did so meanwhile; ``field_not_ready``; ``written_elsewhere``; 503.
        """
        if found.name == name:
            detail = (
                f"Whoever calls {name} by its own name would be left behind: let an alias stand for it, call it by "
                "that, and move the alias."
            )
            raise conflict(detail, code=Refusal.ALIAS_NEEDED)
        if self._engines.of(found).follows:
            check_home(found, here=self._catalogue.region)
        if found.building:
            raise Problem(
                409, Refusal.FIELD_NOT_READY, "Fields are still being looked through; try again.", retry_after=1
            )
        to = request.to or f"{found.name}-{request.engine}"
        if len(to) > MAX_NAME:
            raise invalid(f"{to} is too long for a name; give another one.", field="to")
        self._management.check(_settings(found, to, request.engine))
        begun = Moving(to=to, incarnation=uuid.uuid4().hex, making=request.engine, region=self._catalogue.region)

        def begin(before: Collection) -> Collection:
            if before.incarnation != found.incarnation or before.moving is not None:
                return before
            if before.revision != found.revision:
                detail = f"Somebody else changed {found.name}; look again."
                raise conflict(detail, code=Refusal.COLLECTION_CHANGED)
            return msgspec.structs.replace(before, moving=begun)

        return self._catalogue.change(found.tenant, found.name, begin)

    def make(self, source: Collection) -> Collection:
        """See that what ``source`` becomes is made; returns ``source`` as it is noted then. Can be repeated.

        :raises LostError: another move was begun, or this one given up.
        :raises Problem: 409 ``collection_exists``, ``alias_exists``: there is something else of its name, and the move
            is given up; 503.
        """
        moving = moving_of(source)
        if not moving.making:
            return source
        if not self._engines.of(source).follows:
            # Slept, since it may have been noted by a node whose clock is ahead.
            self._clock.sleep(replication.REPLICATION_SECONDS)
        if self._catalogue.find(source.tenant, source.name).moving != moving:
            raise LostError
        try:
            target = self._create(source, moving)
        except Problem as problem:
            if problem.status != 503:
                with suppress(LostError):
                    self._note(source, moving, None)
            raise
        self._engines.of(target).fence(target)
        made = msgspec.structs.replace(moving, incarnation=target.incarnation, making="")
        return self._note(source, moving, made)

    def _create(self, source: Collection, moving: Moving) -> Collection:
        """What is to be filled; also where an earlier attempt got no further, or another process was faster."""
        settings = _settings(source, moving.to, moving.making)
        filling = Filling(source=source.name, incarnation=source.incarnation)
        target, new = self._management.create(source.tenant, settings, filling=filling, incarnation=moving.incarnation)
        if not new and not self._is_left(target, filling):
            detail = f"There is a collection {settings.name} already; give another name."
            raise conflict(detail, code=Refusal.COLLECTION_EXISTS)
        return target

    def _is_left(self, target: Collection, filling: Filling) -> bool:
        """Whether it was made for a move of the same collection, here, that came to nothing."""
        known = target.filling
        if known is None or known.incarnation != filling.incarnation or known.ready:
            return False
        return target.home in (None, self._catalogue.region)

    def _note(self, source: Collection, before: Moving, after: Moving | None) -> Collection:
        def change(found: Collection) -> Collection:
            if found.incarnation != source.incarnation or found.moving != before:
                raise LostError
            return msgspec.structs.replace(found, moving=after)

        return self._catalogue.change(source.tenant, source.name, change)


def _settings(source: Collection, to: str, engine: str) -> CollectionSettings:
    """Of what ``source`` becomes."""
    index = source.settings.index if engine == HNSW else IndexSettings()
    return msgspec.structs.replace(source.settings, name=to, engine=engine, index=index)
