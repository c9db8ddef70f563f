"""Stages of versions: each version is in one, and each model knows the highest version of every stage."""

from collections.abc import Mapping

import msgspec

from anfl.registry import keys, pages
from anfl.registry.audit import Change
from anfl.registry.clock import Clock
from anfl.registry.entities import Model, Stage, Version, VersionOf
from anfl.registry.errors import invalid_parameter
from anfl.registry.marks import DOCUMENT
from anfl.registry.records import Records, sort_of, version_of
from anfl.registry.table import Delete, LostRaceError, Put
from anfl.resources import SORT_KEY

_ACTIVE = (Stage.STAGING, Stage.PRODUCTION)
_MOVES_AT_ONCE = 30
"""Versions that one transaction (100 actions) moves between stages."""
_MOVED_BYTES = 3_000_000
"""Of their records, in one transaction (4 MB)."""


class Stages:
    """Stages of all tenants' versions; every method takes the tenant first and reaches nothing of another's."""

    def __init__(self, records: Records, *, clock: Clock) -> None:
        self._records = records
        self._table = records.table
        self._clock = clock

    def transition(
        self, tenant: str, name: str, number: int, stage: Stage, *, by: str, archive_existing: bool = False
    ) -> VersionOf:
        """Move a version to a stage; ``archive_existing`` moves every other version of that stage to Archived.

        Many others are archived in several steps, this version moves with the last: interrupted, the same request
        finishes the rest.

        :raises Problem: 404, 400.
        """
        if archive_existing and stage not in _ACTIVE:
            raise invalid_parameter(
                "Model version transition cannot archive existing model versions because"
                f" '{stage}' is not an Active stage. Valid stages are {[str(active) for active in _ACTIVE]}",
                field="archive_existing_versions",
            )
        moment = self._clock()

        def attempt() -> VersionOf:
            while True:
                found = self._records.version(tenant, name, number)
                others = self._members(tenant, found.model, stage, without=number) if archive_existing else []
                moves = dict.fromkeys(others[:_MOVES_AT_ONCE], Stage.ARCHIVED)
                if len(others) <= _MOVES_AT_ONCE:
                    moves[number] = stage
                done = self._move(tenant, found.model, moves, by=by, moment=moment)
                if number in done.versions:
                    return VersionOf(model=done.model, version=done.versions[number])

        result = self._records.in_turn(tenant, name, attempt)
        return VersionOf(model=result.model, version=self._records.all_tags(tenant, result.version))

    def _move(self, tenant: str, before: Model, moves: Mapping[int, Stage], *, by: str, moment: int) -> "_Moved":
        """Move versions to stages in one transaction, as many of them as it holds.

        :raises LostRaceError: anything changed meanwhile.
        """
        wanted = {number: keys.version(tenant, before.id, number) for number in moves}
        items = self._table.get_many(list(wanted.values()))
        if any(sort_of(key) not in items for key in wanted.values()):
            raise LostRaceError

        def size(number: int) -> int:
            return len(items[sort_of(wanted[number])][DOCUMENT].encode())

        moves = {number: moves[number] for number in pages.fitting(moves, size, most=_MOVED_BYTES)}
        old = {number: version_of(items[sort_of(wanted[number])]) for number in moves}
        new = {
            number: msgspec.structs.replace(version, stage=moves[number], updated_at=moment)
            for number, version in old.items()
        }
        changes: dict[int, tuple[Stage, Stage | None]] = {n: (old[n].stage, moves[n]) for n in moves}
        model = msgspec.structs.replace(before, updated_at=moment, latest=self.latest_after(tenant, before, changes))
        change = Change(
            by=by,
            at=moment,
            action="version.moved",
            version=next(iter(moves)) if len(moves) == 1 else None,
            before={"stages": {str(number): str(version.stage) for number, version in old.items()}},
            after={"stages": {str(number): str(stage) for number, stage in moves.items()}},
        )
        actions = self._records.changed(tenant, model, before=before, change=change)
        for number, version in new.items():
            actions.append(self._records.put_version(tenant, version, before=old[number]))
            if old[number].stage is not version.stage:
                actions.append(Delete(key=keys.member(tenant, before.id, old[number].stage, number)))
                actions.append(Put(key=keys.member(tenant, before.id, version.stage, number)))
        self._table.write(*actions)
        return _Moved(model=model, versions=new)

    def latest_after(
        self, tenant: str, model: Model, changes: Mapping[int, tuple[Stage, Stage | None]]
    ) -> dict[Stage, int]:
        """Highest version of each stage once versions went from one stage to another (None: were deleted)."""
        latest = dict(model.latest)
        for stage in {before for before, _ in changes.values()}:
            leaving = {number for number, (before, after) in changes.items() if before is stage and after is not stage}
            if latest.get(stage) in leaving:
                rest = self._members(tenant, model, stage, limit=len(leaving) + 1)
                remaining = [number for number in rest if number not in leaving]
                if remaining:
                    latest[stage] = remaining[0]
                else:
                    latest.pop(stage)
        for number, (_, after) in changes.items():
            if after is not None:
                latest[after] = max(number, latest.get(after, 0))
        return latest

    def _members(
        self, tenant: str, model: Model, stage: Stage, *, without: int | None = None, limit: int = 0
    ) -> list[int]:
        """Versions in a stage, highest first; ``limit``: no more than these (0: all)."""
        prefix = keys.members(stage)
        found: list[int] = []
        partition = keys.belongings(tenant, model.id)
        for item in self._table.query(partition, prefix=prefix, descending=True, limit=limit):
            number = int(item[SORT_KEY][len(prefix) :])
            if number != without:
                found.append(number)
            if limit and len(found) == limit:
                break
        return found


class _Moved(msgspec.Struct, frozen=True, kw_only=True):
    model: Model
    versions: dict[int, Version]
