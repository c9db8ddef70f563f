"""How a move begins: the new collection is made, and both know of each other."""

import msgspec

from anfl.problems import Problem, conflict, invalid
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.engines import Engines
from anfl.vectors.hnsw import NAME as HNSW
from anfl.vectors.homes import check_home
from anfl.vectors.management import Management
from anfl.vectors.model import MAX_NAME, Collection, CollectionSettings, IndexSettings
from anfl.vectors.moving.records import Filling, Moving
from anfl.vectors.moving.requests import Move
from anfl.vectors.refusals import Refusal


class Beginnings:
    """Safe for threads, and for any number of processes."""

    def __init__(self, catalogue: Catalogue, engines: Engines, management: Management) -> None:
        self._catalogue = catalogue
        self._engines = engines
        self._management = management

    def begin(self, found: Collection, name: str, request: Move) -> Collection:
        """Begin the move of ``found``, which is called ``name``; returns it as it is noted then. Can be repeated.

        :raises Problem: 400 for the engine, or for what it cannot hold; 409 ``alias_needed``, ``collection_exists``,
            ``collection_changed``, its owner did so meanwhile; ``field_not_ready``; ``written_elsewhere``; 503.
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
        index = found.settings.index if request.engine == HNSW else IndexSettings()
        settings = msgspec.structs.replace(found.settings, name=to, engine=request.engine, index=index)
        target = self._create(found, settings)
        self._engines.of(target).fence(target)
        begun = Moving(to=to, incarnation=target.incarnation, region=self._catalogue.region)

        def begin(before: Collection) -> Collection:
            if before.incarnation != found.incarnation or before.moving is not None:
                return before
            if before.revision != found.revision:  # not deleted here: another process may be about to fill it
                detail = f"Somebody else changed {found.name}. Delete {to}, which was made as that was, and try again."
                raise conflict(detail, code=Refusal.COLLECTION_CHANGED)
            return msgspec.structs.replace(before, moving=begun)

        return self._catalogue.change(found.tenant, found.name, begin)

    def _create(self, source: Collection, settings: CollectionSettings) -> Collection:
        """What is to be filled; also where an earlier attempt got no further, or another process was faster."""
        filling = Filling(source=source.name, incarnation=source.incarnation)
        target, new = self._management.create(source.tenant, settings, filling=filling)
        known = target.filling
        if not new and (known is None or known.incarnation != source.incarnation):
            detail = f"There is a collection {settings.name} already; give another name."
            raise conflict(detail, code=Refusal.COLLECTION_EXISTS)
        return target
