"""Versions of models: create, read, describe, tag, move between stages, delete."""

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import msgspec

from anfl.registry import keys, rules
from anfl.registry.entities import Model, Stage, Verdict, Version, VersionOf
from anfl.registry.errors import invalid_parameter
from anfl.registry.locations import Location, Locations, artifact_path, hold, holder
from anfl.registry.models import Clock, now
from anfl.registry.records import Records, drop_tag, large_tag_puts, put_tag, sort_of, version_of
from anfl.registry.table import Action, Condition, Delete, LostRaceError, Put, until_won
from anfl.registry.tags import arrange
from anfl.registry.verdicts import verdict_item
from anfl.resources import SORT_KEY

_ACTIVE = (Stage.STAGING, Stage.PRODUCTION)
_MOVES_AT_ONCE = 30
"""Versions that one transaction (100 actions) moves between stages."""
_STRIPES = 64


class Versions:
    """Versions of all tenants' models; every method takes the tenant first and reaches nothing of another's.

    Methods raise `anfl.problems.Problem` as MLflow's server would, and botocore's errors.
    """

    def __init__(self, records: Records, *, clock: Clock = now) -> None:
        self._records = records
        self._table = records.table
        self._locations = Locations(records.table)
        self._clock = clock
        self._stripes = tuple(threading.Lock() for _ in range(_STRIPES))

    def create(
        self,
        tenant: str,
        name: str,
        *,
        source: str,
        location: str,
        run_id: str | None = None,
        run_link: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        check: Verdict | None = None,
        place: Callable[[], Location] | None = None,
    ) -> VersionOf:
        """The next version of a model.

        :param location: where the artefacts lie (``source`` with references resolved).
        :param check: the state of its validation, stored with it.
        :param place: reads the place in the artefact store that this freezes (`ArtifactStore.place`); None where the
            artefacts lie elsewhere.
        :raises Problem: 404 for the model, 400.
        """
        rules.model_name(name)
        for key, value in (tags or {}).items():
            rules.tag(key, value)
        for field, text in (("source", source), ("run_id", run_id), ("run_link", run_link)):
            if text is not None:
                rules.limit_bytes(text, rules.MAX_REFERENCE_BYTES, field=field)
        rules.description(description)
        arranged = arrange(tags or {})

        def attempt() -> VersionOf:
            before = self._records.model(tenant, name)
            number = before.last_version + 1
            moment = self._clock()
            version = Version(
                model_id=before.id,
                number=number,
                created_at=moment,
                updated_at=moment,
                source=source,
                location=location,
                run_id=run_id,
                run_link=run_link,
                description=description,
                tags=arranged.inline,
                spilled=frozenset(arranged.spilled),
            )
            model = msgspec.structs.replace(
                before, last_version=number, updated_at=moment, latest=before.latest | {Stage.NONE: number}
            )
            checks = [] if check is None else [Put(key=keys.check(tenant, before.id, number), item=verdict_item(check))]
            holds = [] if place is None else [hold(tenant, place(), holder(before.id, number))]
            self._table.write(
                self._records.put_model(tenant, model, before=before),
                self._records.put_version(tenant, version, before=None),
                Put(key=keys.member(tenant, before.id, Stage.NONE, number)),
                *large_tag_puts(tenant, before.id, number, arranged.spilled),
                *checks,
                *holds,
            )
            return VersionOf(model=model, version=msgspec.structs.replace(version, tags=dict(tags or {})))

        with self._turn(tenant, name):
            return until_won(attempt)

    def get(self, tenant: str, name: str, number: int) -> VersionOf:
        """A version and its model.

        :raises Problem: 404.
        """
        found = self._records.version(tenant, name, number)
        return VersionOf(model=found.model, version=self._records.all_tags(tenant, found.version))

    def describe(self, tenant: str, name: str, number: int, description: str | None) -> VersionOf:
        """Set or clear the description.

        :raises Problem: 404, 400.
        """
        text = rules.description(description)

        def change(version: Version) -> tuple[Version, list[Action]]:
            return msgspec.structs.replace(version, description=text, updated_at=self._clock()), []

        return self._change(tenant, name, number, change)

    def set_tag(self, tenant: str, name: str, number: int, key: str, value: str) -> None:
        """Set a tag.

        :raises Problem: 404, 400.
        """
        rules.tag(key, value)
        self._change(tenant, name, number, lambda version: put_tag(tenant, version, key, value))

    def delete_tag(self, tenant: str, name: str, number: int, key: str) -> None:
        """Remove a tag; one that is absent is fine.

        :raises Problem: 404, 400.
        """
        rules.tag_key(key)
        self._change(tenant, name, number, lambda version: drop_tag(tenant, version, key))

    def transition(
        self, tenant: str, name: str, number: int, stage: Stage, *, archive_existing: bool = False
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
                done = self._move(tenant, found.model, moves, moment=moment)
                if number in done.versions:
                    return VersionOf(model=done.model, version=done.versions[number])

        with self._turn(tenant, name):
            result = until_won(attempt)
        return VersionOf(model=result.model, version=self._records.all_tags(tenant, result.version))

    def delete(self, tenant: str, name: str, number: int) -> None:
        """Remove a version with its tags, verdict and the aliases that name it.

        :raises Problem: 404.
        """

        def attempt() -> None:
            found = self._records.version(tenant, name, number)
            before, version = found.model, found.version
            model = msgspec.structs.replace(
                before,
                updated_at=self._clock(),
                aliases={alias: target for alias, target in before.aliases.items() if target != number},
                latest=self._latest_after(tenant, before, {number: (version.stage, None)}),
            )
            self._table.write(
                self._records.put_model(tenant, model, before=before),
                Delete(key=keys.version(tenant, before.id, number), condition=Condition(revision=version.revision)),
                Delete(key=keys.member(tenant, before.id, version.stage, number)),
                Delete(key=keys.check(tenant, before.id, number)),
                *(Delete(key=keys.tag(tenant, before.id, number, key)) for key in sorted(version.spilled)),
                *self._locations.releases(tenant, artifact_path(version.location), [holder(before.id, number)]),
            )

        with self._turn(tenant, name):
            until_won(attempt)

    def _change(
        self, tenant: str, name: str, number: int, change: Callable[[Version], tuple[Version, list[Action]]]
    ) -> VersionOf:
        def attempt() -> VersionOf:
            found = self._records.version(tenant, name, number)
            version, actions = change(found.version)
            if version != found.version:
                self._table.write(self._records.put_version(tenant, version, before=found.version), *actions)
            return VersionOf(model=found.model, version=version)

        result = until_won(attempt)
        return VersionOf(model=result.model, version=self._records.all_tags(tenant, result.version))

    def _move(self, tenant: str, before: Model, moves: Mapping[int, Stage], *, moment: int) -> "_Moved":
        """Move versions to stages in one transaction.

        :raises LostRaceError: anything changed meanwhile.
        """
        wanted = {number: keys.version(tenant, before.id, number) for number in moves}
        items = self._table.get_many(list(wanted.values()))
        if any(sort_of(key) not in items for key in wanted.values()):
            raise LostRaceError
        old = {number: version_of(items[sort_of(key)]) for number, key in wanted.items()}
        new = {
            number: msgspec.structs.replace(version, stage=moves[number], updated_at=moment)
            for number, version in old.items()
        }
        changes: dict[int, tuple[Stage, Stage | None]] = {n: (old[n].stage, moves[n]) for n in moves}
        model = msgspec.structs.replace(before, updated_at=moment, latest=self._latest_after(tenant, before, changes))
        actions: list[Action] = [self._records.put_model(tenant, model, before=before)]
        for number, version in new.items():
            actions.append(self._records.put_version(tenant, version, before=old[number]))
            if old[number].stage is not version.stage:
                actions.append(Delete(key=keys.member(tenant, before.id, old[number].stage, number)))
                actions.append(Put(key=keys.member(tenant, before.id, version.stage, number)))
        self._table.write(*actions)
        return _Moved(model=model, versions=new)

    def _latest_after(
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

    def _turn(self, tenant: str, name: str) -> AbstractContextManager[object]:
        """Threads of one process take turns on a model; processes race, and the table decides."""
        return self._stripes[hash((tenant, name)) % _STRIPES]


class _Moved(msgspec.Struct, frozen=True, kw_only=True):
    model: Model
    versions: dict[int, Version]
