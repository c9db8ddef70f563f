"""One change of a model's or a version's record: read it, decide, write it together with the entry about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from anfl.registry.audit import Change, Values
from anfl.registry.clock import Clock
from anfl.registry.entities import Model, Version, VersionOf
from anfl.registry.letters import Letter
from anfl.registry.outbox import Outbox
from anfl.registry.records import Records
from anfl.registry.table import Action

Record = TypeVar("Record", Model, Version)


@dataclass(frozen=True, kw_only=True)
class Edited(Generic[Record]):
    """A record as it should be, what of it changes, and the actions and letters that belong to the same transaction."""

    record: Record
    before: Values
    after: Values
    actions: Sequence[Action] = ()
    version: int | None = None
    """Which version a change of the model's record is about, for the audit."""
    letters: Sequence[Letter] = ()


class Edits:
    """Edits of all tenants' records."""

    def __init__(self, records: Records, outbox: Outbox, *, clock: Clock) -> None:
        self._records = records
        self._outbox = outbox
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

        def attempt() -> Model:
            before = self._records.model(tenant, name)
            moment = self._clock()
            edited = edit(before, moment)
            if edited is None:
                return before
            change = Change(
                by=by, at=moment, action=action, version=edited.version, before=edited.before, after=edited.after
            )
            self._outbox.commit(
                *self._records.changed(tenant, edited.record, before=before, change=change),
                *edited.actions,
                letters=edited.letters,
            )
            return edited.record

        return self._records.in_turn(tenant, name, attempt)

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

        def attempt() -> VersionOf:
            found = self._records.version(tenant, name, number)
            moment = self._clock()
            edited = edit(found, moment)
            if edited is None:
                return found
            change = Change(by=by, at=moment, action=action, version=number, before=edited.before, after=edited.after)
            self._outbox.commit(
                *self._records.changed(tenant, found.model, before=found.model, change=change),
                self._records.put_version(tenant, edited.record, before=found.version),
                *edited.actions,
                letters=edited.letters,
            )
            return VersionOf(model=found.model, version=edited.record)

        result = self._records.in_turn(tenant, name, attempt)
        return VersionOf(model=result.model, version=self._records.all_tags(tenant, result.version))
