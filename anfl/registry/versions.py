"""Versions of models: create, read, describe, delete."""

from collections.abc import Callable, Mapping

import msgspec

from anfl.registry import events, keys, rules
from anfl.registry.audit import Change
from anfl.registry.clock import Clock
from anfl.registry.edits import Edited, Edits
from anfl.registry.entities import Stage, Verdict, Version, VersionOf
from anfl.registry.letters import request_for
from anfl.registry.locations import Location, Locations, digest, held_path, hold, holder
from anfl.registry.outbox import Outbox
from anfl.registry.records import Records, large_tag_puts
from anfl.registry.stages import Stages
from anfl.registry.table import Condition, Delete, Put
from anfl.registry.tags import arrange
from anfl.registry.verdicts import verdict_item


class Versions:
    """Versions of all tenants' models; every method takes the tenant first and reaches nothing of another's.

    Methods raise `anfl.problems.Problem` as MLflow's server would, and botocore's errors.
    """

    def __init__(self, records: Records, edits: Edits, outbox: Outbox, stages: Stages, *, clock: Clock) -> None:
        self._records = records
        self._edits = edits
        self._stages = stages
        self._outbox = outbox
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
        keep: Callable[[Location], None] | None = None,
    ) -> VersionOf:
        """The next version of a model.

        :param location: where the artefacts lie (``source`` with references resolved).
        :param check: the state of its validation, stored with it; where that is pending, it is asked for.
        :param place: reads the place in the artefact store that this freezes (`ArtifactStore.place`); None where the
            artefacts lie elsewhere.
        :param keep: told that place once it is frozen (`ArtifactStore.keep`), also where it was before: whoever froze
            it may have died before this.
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
        frozen: list[Location] = []

        def attempt() -> VersionOf:
            before = self._records.model(tenant, name)
            number = before.last_version + 1
            moment = self._clock()
            files = None if place is None else place()
            frozen[:] = [] if files is None else [files]
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
            checks = (
                []
                if check is None
                else [Put(key=keys.check(tenant, before.id, number), item=verdict_item(check, version))]
            )
            made = [Put(key=keys.made(tenant, run_id, before.id, number), item={"name": name})] if run_id else []
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
            self._outbox.commit(
                *self._records.changed(tenant, model, before=before, change=change),
                self._records.put_version(tenant, version, before=None),
                Put(key=keys.member(tenant, before.id, Stage.NONE, number)),
                *large_tag_puts(tenant, before.id, number, arranged.spilled),
                *checks,
                *made,
                *holds,
                letters=[
                    events.version_created(tenant, model, version, tags or {}, at=moment),
                    *request_for(tenant, model, number, check, at=moment),
                ],
            )
            return VersionOf(model=model, version=msgspec.structs.replace(version, tags=dict(tags or {})))

        created = self._records.in_turn(tenant, name, attempt)
        if keep is not None:
            for files in frozen:
                keep(files)
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

        def edit(of: VersionOf, moment: int) -> Edited[Version]:
            return Edited(
                record=msgspec.structs.replace(of.version, description=text, updated_at=moment),
                before={"description": of.version.description},
                after={"description": text},
            )

        return self._edits.version(tenant, name, number, edit, by=by, action="version.described")

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
                latest=self._stages.latest_after(tenant, before, {number: (version.stage, None)}),
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
                *([Delete(key=keys.made(tenant, version.run_id, before.id, number))] if version.run_id else []),
                *(Delete(key=keys.tag(tenant, before.id, number, key)) for key in sorted(version.spilled)),
                *self._locations.releases(tenant, held_path(version.location), [holder(before.id, number)]),
            )

        self._records.in_turn(tenant, name, attempt)
