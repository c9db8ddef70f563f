"""States that are kept under a name, and collections made from them."""

import logging
from contextlib import suppress

from anfl.problems import Problem, conflict, unavailable
from anfl.vectors import named
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.envelope import DamagedError
from anfl.vectors.local_copy import on_disk
from anfl.vectors.log import delete_all
from anfl.vectors.management import Management
from anfl.vectors.manifests import Manifest
from anfl.vectors.model import Collection, Fields
from anfl.vectors.named import ORPHAN_SECONDS
from anfl.vectors.naming import NamedSnapshot, NamedSnapshotList
from anfl.vectors.replica import Replica
from anfl.vectors.requests import NamePage, Read
from anfl.vectors.state import State
from anfl.vectors.storage import Storage
from anfl.vectors.trouble import CorruptLogError
from anfl.vectors.upkeep import UPKEEP_SECONDS

_ATTEMPTS = 3
_log = logging.getLogger(__name__)


class Keeping:
    """Of the collections of engine ``hnsw``. Safe for threads."""

    def __init__(self, catalogue: Catalogue, storage: Storage, management: Management) -> None:
        self._catalogue = catalogue
        self._storage = storage
        self._management = management

    def create(self, replica: Replica, snapshot: str) -> NamedSnapshot:
        """Keep the present state under the name ``snapshot``.

        Elsewhere than at home, the state is what was copied without a gap, with the declarations that hold for it.

        :raises Problem: 409 ``snapshot_exists``; 503 where the store does not answer, or the log is damaged.
        """
        names = self._storage.named(replica.collection)
        if names.holds(snapshot):
            raise named.exists(snapshot)
        self._freshen(replica)
        return names.create(snapshot, self._published(replica))

    def page(self, collection: Collection, page: NamePage) -> NamedSnapshotList:
        """Some of a collection's named snapshots by name."""
        return self._storage.named(collection).page(limit=page.limit, after=page.cursor)

    def delete(self, collection: Collection, snapshot: str) -> None:
        """Forget a named snapshot.

        :raises Problem: 404 ``snapshot_not_found``.
        """
        self._storage.named(collection).delete(snapshot)

    def restore(self, source: Collection, snapshot: str, into: str) -> Collection:
        """Make the new collection ``into`` from a named snapshot. It is there as a whole, or not at all.

        :raises Problem: 404 ``snapshot_not_found``; 409 ``collection_exists``; 503 ``snapshot_damaged``.
        """
        tenant = source.tenant
        if not self._catalogue.is_free(tenant, into):
            raise conflict(f"{into} exists already.", code="collection_exists")
        made = self._copied(source, snapshot, into)
        written = self._storage.clock.monotonic()
        try:
            self._catalogue.add(made)
        except Problem as problem:
            if problem.status == 409:
                delete_all(self._storage.objects, made.prefix)
            raise
        if self._storage.clock.monotonic() - written > ORPHAN_SECONDS / 2:  # it may have been taken for nobody's
            self._management.delete(tenant, into)
            raise unavailable("Restoring took too long and was undone; try again.", code="storage_unavailable")
        return made

    def _published(self, replica: Replica) -> Manifest:
        """A snapshot of the present state, or of a later one where the builder has merged its segments meanwhile, and
        the node has forgotten them."""
        for _ in range(_ATTEMPTS):
            state = replica.shown
            with suppress(FileNotFoundError):
                with on_disk():
                    local = replica.folder.publish(state.position, state.image())
                return replica.snapshots.publish(
                    local.image,
                    local.position,
                    rows=len(state.rows),
                    now=self._storage.clock.wall(),
                    declared=_kept_by(state),
                )
            if not replica.install_newest():
                self._storage.clock.sleep(UPKEEP_SECONDS)
        detail = "The collection's segments are being merged faster than they are kept; try again."
        raise unavailable(detail, code="storage_unavailable")

    def _freshen(self, replica: Replica) -> None:
        try:
            replica.freshen(Read(consistency="strong"))
        except CorruptLogError:
            # Elsewhere it may be sealed by a key that is lost with the home, before it was copied.
            if self._storage.is_home(replica.collection):
                raise

    def _copied(self, source: Collection, snapshot: str, into: str) -> Collection:
        path = self._storage.named(source).find(snapshot)[1]
        snapshots = self._storage.snapshots(source)
        try:
            manifest = snapshots.manifests.read(path)
            return named.restore(
                snapshots,
                manifest,
                into,
                home=self._catalogue.region,
                seals=self._catalogue.seals,
                now=self._storage.clock.wall(),
                snapshots=self._storage.snapshots,
            )
        except DamagedError as damage:
            _log.error("damaged snapshot", extra={"key": snapshots.manifests.key(path), "reason": str(damage)})
            raise named.damaged(snapshot) from damage


def _kept_by(state: State) -> Fields:
    """The declared fields that no row contradicts: the catalogue may be ahead of the rows, above all elsewhere than at
    home."""
    against = state.rows.view.count_against
    fields = state.collection.settings.fields
    return {name: declared for name, declared in fields.items() if not against(name, declared, now=state.ts)}
