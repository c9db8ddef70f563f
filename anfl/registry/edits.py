"""One change of a model's or a version's record: read it, decide, write it together with the entry about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from anfl.registry.audit import Change, Values
from anfl.registry.clock import Clock
from anfl.registry.entities import Model, Version, VersionOf
from anfl.registry.events import Data, Tell
from anfl.registry.records import Records
from anfl.registry.table import Action

Record = TypeVar("Record", Model, Version)


@dataclass(frozen=True, kw_only=True)
class Edited(Generic[Record]):
    """A record as it should be, what of it changes, and the actions that belong to the same transaction."""

    record: Record
    before: Values
    after: Values
    actions: Sequence[Action] = ()
    version: int | None = None
    """Which version a change of the model's record is about, for the audit."""
    told: tuple[str, Data] | None = None
    """The event, for webhooks."""


class Edits:
    """Edits of all tenants' records."""

    def __init__(self, records: Records, *, tell: Tell, clock: Clock) -> None:
        self._records = records
        self._tell = tell
        self._clock = clock

    def model(
        self,
        tenant: str,
        name: str,
        edit: Callable[[Model, int], Edited[Model] | None],
        *,
        by: str,
        action: str,
    ) -> Model:
        """Change a model; as it is afterwards, without its large tags.

        :param edit: (model, now) → what to make of it; None where there is nothing to do.
        :raises Problem: 404, 400 for an impossible name.
        """

        def attempt() -> tuple[Model, Edited[Model] | None]:
            before = self._records.model(tenant, name)
            moment = self._clock()
            edited = edit(before, moment)
            if edited is None:
                return before, None
            change = Change(
                by=by, at=moment, action=action, version=edited.version, before=edited.before, after=edited.after
            )
            self._records.table.write(
                *self._records.changed(tenant, edited.record, before=before, change=change), *edited.actions
            )
            return edited.record, edited

        model, edited = self._records.in_turn(tenant, name, attempt)
        if edited is not None and edited.told is not None:
            self._tell(tenant, *edited.told)
        return model

    def version(
        self,
        tenant: str,
        name: str,
        number: int,
        edit: Callable[[VersionOf, int], Edited[Version] | None],
        *,
        by: str,
        action: str,
    ) -> VersionOf:
        """Change a version; as it is afterwards, with all tags.

        :param edit: as for `model`.
        :raises Problem: 404, 400 for an impossible name.
        """

        def attempt() -> tuple[VersionOf, Edited[Version] | None]:
            found = self._records.version(tenant, name, number)
            moment = self._clock()
            edited = edit(found, moment)
            if edited is None:
                return found, None
            change = Change(by=by, at=moment, action=action, version=number, before=edited.before, after=edited.after)
            self._records.table.write(
                *self._records.changed(tenant, found.model, before=found.model, change=change),
                self._records.put_version(tenant, edited.record, before=found.version),
                *edited.actions,
            )
            return VersionOf(model=found.model, version=edited.record), edited

        result, edited = self._records.in_turn(tenant, name, attempt)
        if edited is not None and edited.told is not None:
            self._tell(tenant, *edited.told)
        return VersionOf(model=result.model, version=self._records.all_tags(tenant, result.version))
