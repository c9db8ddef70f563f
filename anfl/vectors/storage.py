"""Where collections are kept, and what a copy of one is made from."""

from dataclasses import dataclass, field

from anfl.vectors.clock import Clock
from anfl.vectors.elsewhere import Elsewhere, Nowhere
from anfl.vectors.events import Events, NoEvents
from anfl.vectors.hints import Hints, NoHints
from anfl.vectors.homes import is_home
from anfl.vectors.log import READERS, Log
from anfl.vectors.missing import Missing
from anfl.vectors.model import Collection
from anfl.vectors.named import NamedSnapshots
from anfl.vectors.node import NodeFolder
from anfl.vectors.objects import ObjectStore
from anfl.vectors.regional import NoRegion, Region
from anfl.vectors.repair import ARRIVAL_SECONDS, Repairs
from anfl.vectors.replica import Replica
from anfl.vectors.retention import Retention
from anfl.vectors.sealing import Envelopes, Unsealed
from anfl.vectors.snapshots import Snapshots
from anfl.vectors.transfers import TRANSFERS, Transfers


@dataclass(frozen=True, kw_only=True)
class Storage:
    """The object store and the node's folder."""

    objects: ObjectStore
    here: str | None = None
    """Region of ``objects``; None: there is no other."""
    node: NodeFolder
    alone: bool = False
    """Whether this process has the node's folder to itself: then it leaves nothing there for others."""
    hints: Hints = field(default_factory=NoHints)
    region: Region = field(default_factory=NoRegion)
    elsewhere: Elsewhere = field(default_factory=Nowhere)
    """Other regions' copies of the objects, asked for what is damaged here."""
    missing: Missing = field(default_factory=Missing)
    envelopes: Envelopes = field(default_factory=Unsealed)
    events: Events = field(default_factory=NoEvents)
    clock: Clock = field(default_factory=Clock)
    threads: bool = True
    """Whether several things are done at a time; else whoever wants upkeep asks for it."""

    def is_home(self, collection: Collection) -> bool:
        """Whether ``objects`` are where the collection is written; elsewhere they are as far as they were copied."""
        return is_home(collection, here=self.here)

    def replica(self, collection: Collection) -> Replica:
        """A copy of a collection, not loaded yet."""
        folder = self.node.of(collection)
        log = Log(
            self.objects,
            collection,
            envelope=self.envelopes.of(collection),
            cache=None if self.alone else folder,
            repairs=self._repairs(collection),
            readers=READERS if self.threads else 1,
            sleep=self.clock.sleep,
        )
        return Replica(
            log=log,
            snapshots=self.snapshots(collection),
            folder=folder,
            clock=self.clock,
            is_home=self.is_home(collection),
        )

    def snapshots(self, collection: Collection) -> Snapshots:
        """A collection's snapshots."""
        return Snapshots(
            self.objects,
            collection,
            envelope=self.envelopes.of(collection),
            repairs=self._repairs(collection),
            transfers=Transfers(TRANSFERS if self.threads else 1),
            monotonic=self.clock.monotonic,
            is_home=self.is_home(collection),
        )

    def named(self, collection: Collection) -> NamedSnapshots:
        """A collection's named snapshots."""
        return NamedSnapshots(
            self.objects,
            collection,
            envelope=self.envelopes.of(collection),
            repairs=self._repairs(collection),
        )

    def retention(self, collection: Collection) -> Retention:
        """What removes a collection's old objects."""
        return Retention(self.objects, self.snapshots(collection), self.named(collection))

    def _repairs(self, collection: Collection) -> Repairs:
        return Repairs(
            self.objects,
            elsewhere=self.elsewhere,
            events=self.events,
            missing=self.missing,
            patience=0.0 if self.is_home(collection) else ARRIVAL_SECONDS,
            monotonic=self.clock.monotonic,
        )
