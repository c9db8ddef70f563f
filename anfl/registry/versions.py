"""Versions of models: create, read, describe, tag, move between stages, delete."""

from collections.abc import Callable, Mapping

import msgspec

from anfl.registry import events, keys, rules
from anfl.registry.audit import Change
from anfl.registry.clock import Clock, now
from anfl.registry.entities import Model, Stage, Verdict, Version, VersionOf
from anfl.registry.errors import invalid_parameter
from anfl.registry.events import Tell, nobody
from anfl.registry.locations import Location, Locations, artifact_path, digest, hold, holder
from anfl.registry.records import Records, drop_tag, large_tag_puts, put_tag, sort_of, version_of
from anfl.registry.table import Action, Condition, Delete, LostRaceError, Put
from anfl.registry.tags import arrange
from anfl.registry.verdicts import verdict_item
from anfl.resources import SORT_KEY

_ACTIVE = (Stage.STAGING, Stage.PRODUCTION)
_MOVES_AT_ONCE = 30
"""Versions that one transaction (100 actions) moves between stages."""


class Versions:
    """Versions of all tenants' models; every method takes the tenant first and reaches nothing of another's.

    Methods raise `anfl.problems.Problem` as MLflow's server would, and botocore's errors.
    """

    def __init__(self, records: Records, *, tell: Tell = nobody, clock: Clock = now) -> None:
        self._records = records
        self._tell = tell
        self._table = records.table
        self._locations = Locations(records.table)
        self._clock = clock

    def create(
        self,
        tenant: str,
        name: str,
        *,
        by: str,
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
            files = None if place is None else place()
            version = Version(
                model_id=before.id,
                number=number,
                created_at=moment,
                updated_at=moment,
                source=source,
                location=location,
                digest=digest(location, files),
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
            holds = [] if files is None else [hold(tenant, files, holder(before.id, number))]
            after = {
                "source": source,
                "location": location,
                "digest": version.digest,
                "stage": str(version.stage),
                "run_id": run_id,
                "run_link": run_link,
                "description": description,
                "tags": dict(tags or {}),
                "validation": None if check is None else str(check.status),
            }
            change = Change(by=by, at=moment, action="version.created", version=number, after=after)
            self._table.write(
                *self._records.changed(tenant, model, before=before, change=change),
                self._records.put_version(tenant, version, before=None),
                Put(key=keys.member(tenant, before.id, Stage.NONE, number)),
                *large_tag_puts(tenant, before.id, number, arranged.spilled),
                *checks,
                *holds,
            )
            return VersionOf(model=model, version=msgspec.structs.replace(version, tags=dict(tags or {})))

        created = self._records.in_turn(tenant, name, attempt)
        self._tell(tenant, *events.version_created(created.model, created.version, tags or {}))
        return created

    def get(self, tenant: str, name: str, number: int) -> VersionOf:
        """A version and its model.

        :raises Problem: 404.
        """
        found = self._records.version(tenant, name, number)
        return VersionOf(model=found.model, version=self._records.all_tags(tenant, found.version))

    def describe(self, tenant: str, name: str, number: int, description: str | None, *, by: str) -> VersionOf:
        """Set or clear the description.

        :raises Problem: 404, 400.
        """
        text = rules.description(description)

        def change(version: Version) -> _Edited:
            return _Edited(
                version=msgspec.structs.replace(version, description=text, updated_at=self._clock()),
                before={"description": version.description},
                after={"description": text},
            )

        return self._change(tenant, name, number, change, by=by, action="version.described")

    def set_tag(self, tenant: str, name: str, number: int, key: str, value: str, *, by: str) -> None:
        """Set a tag.

        :raises Problem: 404, 400.
        """
        rules.tag(key, value)

        def change(version: Version) -> _Edited:
            tagged, actions = put_tag(tenant, version, key, value)
            before = {"tags": {key: self._records.tag_value(tenant, version, key)}}
            return _Edited(version=tagged, before=before, after={"tags": {key: value}}, actions=actions)

        self._change(
            tenant,
            name,
            number,
            change,
            by=by,
            action="version.tag.set",
            told=lambda model: events.version_tag(model, number, key, value),
        )

    def delete_tag(self, tenant: str, name: str, number: int, key: str, *, by: str) -> None:
        """Remove a tag; one that is absent is fine.

        :raises Problem: 404, 400.
        """
        rules.tag_key(key)

        def change(version: Version) -> _Edited:
            untagged, actions = drop_tag(tenant, version, key)
            before = {"tags": {key: self._records.tag_value(tenant, version, key)}}
            return _Edited(version=untagged, before=before, after={"tags": {key: None}}, actions=actions)

        self._change(
            tenant,
            name,
            number,
            change,
            by=by,
            action="version.tag.deleted",
            told=lambda model: events.version_tag(model, number, key, None),
        )

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

    def delete(self, tenant: str, name: str, number: int, *, by: str) -> None:
        """Remove a version with its tags, verdict and the aliases that name it.

        :raises Problem: 404.
        """

        def attempt() -> None:
            found = self._records.version(tenant, name, number)
            before, version = found.model, found.version
            moment = self._clock()
            gone = {alias: target for alias, target in before.aliases.items() if target == number}
            model = msgspec.structs.replace(
                before,
                updated_at=moment,
                aliases={alias: target for alias, target in before.aliases.items() if target != number},
                latest=self._latest_after(tenant, before, {number: (version.stage, None)}),
            )
            change = Change(
                by=by,
                at=moment,
                action="version.deleted",
                version=number,
                before={"digest": version.digest, "stage": str(version.stage), "aliases": gone},
                after={"aliases": dict.fromkeys(gone)},
            )
            self._table.write(
                *self._records.changed(tenant, model, before=before, change=change),
                Delete(key=keys.version(tenant, before.id, number), condition=Condition(revision=version.revision)),
                Delete(key=keys.member(tenant, before.id, version.stage, number)),
                Delete(key=keys.check(tenant, before.id, number)),
                *(Delete(key=keys.tag(tenant, before.id, number, key)) for key in sorted(version.spilled)),
                *self._locations.releases(tenant, artifact_path(version.location), [holder(before.id, number)]),
            )

        self._records.in_turn(tenant, name, attempt)

    def _change(
        self,
        tenant: str,
        name: str,
        number: int,
        change: Callable[[Version], "_Edited"],
        *,
        by: str,
        action: str,
        told: Callable[[Model], tuple[str, events.Data]] | None = None,
    ) -> VersionOf:
        """:param told: the event of a change, for webhooks."""
        changed = False

        def attempt() -> VersionOf:
            nonlocal changed
            found = self._records.version(tenant, name, number)
            edited = change(found.version)
            if edited.version != found.version or edited.actions:
                entry = Change(
                    by=by, at=self._clock(), action=action, version=number, before=edited.before, after=edited.after
                )
                self._table.write(
                    *self._records.changed(tenant, found.model, before=found.model, change=entry),
                    self._records.put_version(tenant, edited.version, before=found.version),
                    *edited.actions,
                )
                changed = True
            return VersionOf(model=found.model, version=edited.version)

        result = self._records.in_turn(tenant, name, attempt)
        if changed and told is not None:
            self._tell(tenant, *told(result.model))
        return VersionOf(model=result.model, version=self._records.all_tags(tenant, result.version))

    def _move(self, tenant: str, before: Model, moves: Mapping[int, Stage], *, by: str, moment: int) -> "_Moved":
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


class _Moved(msgspec.Struct, frozen=True, kw_only=True):
    model: Model
    versions: dict[int, Version]


class _Edited(msgspec.Struct, frozen=True, kw_only=True):
    """A version as it should be, what of it changes, and the actions on large tags that belong to it."""

    version: Version
    before: Mapping[str, object]
    after: Mapping[str, object]
    actions: list[Action] = []
