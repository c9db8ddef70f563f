"""Registered models: create, read, describe, tag, rename, delete, and their aliases."""

import uuid
from collections.abc import Iterable, Mapping

import msgspec

from anfl.problems import Problem
from anfl.registry import events, keys, rules
from anfl.registry.audit import DELETED, Change
from anfl.registry.clock import Clock, now
from anfl.registry.entities import PROMPT_TAG, Model, Stage, Version, VersionOf
from anfl.registry.errors import already_exists, does_not_exist, invalid_parameter
from anfl.registry.events import Tell, nobody
from anfl.registry.gate import Gate
from anfl.registry.locations import Locations, artifact_path, holder
from anfl.registry.records import Records, drop_tag, large_tag_puts, put_tag, version_of
from anfl.registry.table import EXISTS, Check, Item, LostRaceError, Put, until_won
from anfl.registry.tags import arrange
from anfl.resources import PARTITION_KEY, SORT_KEY


class Models:
    """Registered models of all tenants; every method takes the tenant first and reaches nothing of another's.

    Methods raise `anfl.problems.Problem` as MLflow's server would, and botocore's errors.
    """

    def __init__(self, records: Records, *, gate: Gate, tell: Tell = nobody, clock: Clock = now) -> None:
        self._records = records
        self._gate = gate
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
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
    ) -> Model:
        """A new model without versions.

        :raises Problem: 400, also where the name is taken.
        """
        rules.model_name(name)
        for key, value in (tags or {}).items():
            rules.tag(key, value)
        arranged = arrange(tags or {})
        moment = self._clock()
        model = Model(
            id=str(uuid.uuid4()),
            name=name,
            created_at=moment,
            updated_at=moment,
            description=rules.description(description),
            tags=arranged.inline,
            spilled=frozenset(arranged.spilled),
        )
        after = {"name": name, "description": description, "tags": dict(tags or {})}
        change = Change(by=by, at=moment, action="model.created", after=after)

        def attempt() -> None:
            try:
                self._table.write(
                    *self._records.changed(tenant, model, before=None, change=change),
                    *large_tag_puts(tenant, model.id, None, arranged.spilled),
                )
            except LostRaceError:
                item = self._table.get(keys.model(tenant, name))
                if item is None:  # another one's creation was under way, and came to nothing
                    raise
                raise _taken(name, existing=_is_prompt(item.get("tags", {})), new=_is_prompt(tags or {})) from None

        until_won(attempt)
        self._tell(tenant, *events.model_created(model, tags or {}))
        return msgspec.structs.replace(model, tags=dict(tags or {}))

    def get(self, tenant: str, name: str) -> tuple[Model, list[Version]]:
        """A model, and its highest version of each stage that has one.

        :raises Problem: 404.
        """
        model, latest = until_won(lambda: self._records.with_latest(tenant, name))
        return self._records.all_tags(tenant, model), [self._records.all_tags(tenant, version) for version in latest]

    def describe(self, tenant: str, name: str, description: str | None, *, by: str) -> Model:
        """Set the description.

        :raises Problem: 404, 400.
        """
        text = rules.description(description)

        def attempt() -> Model:
            before = self._records.model(tenant, name)
            moment = self._clock()
            model = msgspec.structs.replace(before, description=text, updated_at=moment)
            change = Change(
                by=by,
                at=moment,
                action="model.described",
                before={"description": before.description},
                after={"description": text},
            )
            self._table.write(*self._records.changed(tenant, model, before=before, change=change))
            return model

        return self._records.all_tags(tenant, self._records.in_turn(tenant, name, attempt))

    def set_tag(self, tenant: str, name: str, key: str, value: str, *, by: str) -> None:
        """Set a tag.

        :raises Problem: 404, 400.
        """
        rules.model_name(name)
        rules.tag(key, value)

        def attempt() -> Model | None:
            before = self._records.model(tenant, name)
            model, actions = put_tag(tenant, before, key, value)
            if model == before and not actions:
                return None
            change = Change(
                by=by,
                at=self._clock(),
                action="model.tag.set",
                before={"tags": {key: self._records.tag_value(tenant, before, key)}},
                after={"tags": {key: value}},
            )
            self._table.write(*self._records.changed(tenant, model, before=before, change=change), *actions)
            return model

        changed = self._records.in_turn(tenant, name, attempt)
        if changed is not None and events.is_prompt(changed):
            self._tell(tenant, *events.prompt_tag(changed, key, value))

    def delete_tag(self, tenant: str, name: str, key: str, *, by: str) -> None:
        """Remove a tag; one that is absent is fine.

        :raises Problem: 404, 400.
        """
        rules.model_name(name)
        rules.tag_key(key)

        def attempt() -> Model | None:
            before = self._records.model(tenant, name)
            if key not in before.tags and key not in before.spilled:
                return None
            model, actions = drop_tag(tenant, before, key)
            change = Change(
                by=by,
                at=self._clock(),
                action="model.tag.deleted",
                before={"tags": {key: self._records.tag_value(tenant, before, key)}},
                after={"tags": {key: None}},
            )
            self._table.write(*self._records.changed(tenant, model, before=before, change=change), *actions)
            return model

        changed = self._records.in_turn(tenant, name, attempt)
        if changed is not None and events.is_prompt(changed):
            self._tell(tenant, *events.prompt_tag(changed, key, None))

    def rename(self, tenant: str, name: str, new_name: str, *, by: str) -> Model:
        """Give a model another name; versions, tags and aliases follow without being touched.

        :raises Problem: 404, 400, also where the new name is taken.
        """
        rules.model_name(new_name, field="new_name")

        def attempt() -> Model:
            before = self._records.model(tenant, name)
            moment = self._clock()
            model = msgspec.structs.replace(before, name=new_name, updated_at=moment, renamed_at=moment)
            if new_name != name and self._table.get(keys.model(tenant, new_name)) is not None:
                raise already_exists(f"Registered Model (name={new_name}) already exists.")
            change = Change(by=by, at=moment, action="model.renamed", before={"name": name}, after={"name": new_name})
            self._table.write(*self._records.changed(tenant, model, before=before, change=change))
            return model

        return self._records.all_tags(tenant, self._records.in_turn(tenant, name, attempt))

    def delete(self, tenant: str, name: str, *, by: str) -> None:
        """Remove a model with its versions, tags, aliases and verdicts.

        The name is free and the model invisible at once; what hung off it follows. Where that is interrupted, the next
        deletion finishes it.

        :raises Problem: 404.
        """

        def attempt() -> None:
            model = self._records.model(tenant, name)
            moment = self._clock()
            last = {"name": name, "aliases": model.aliases, "last_version": model.last_version}
            change = Change(by=by, at=moment, action=DELETED, before=last)
            self._table.write(
                *self._records.deleted(tenant, model, change=change),
                Put(key=keys.tombstone(tenant, model.id), item={"name": name, "deleted_at": moment}),
            )

        try:
            self._records.in_turn(tenant, name, attempt)
        finally:  # also where it is gone already: an earlier deletion may have been interrupted
            self.sweep(tenant)

    def sweep(self, tenant: str) -> None:
        """Remove what is left of deleted models."""
        for tombstone in list(self._table.query(keys.deleted(tenant))):
            model_id = tombstone[SORT_KEY]
            versions = list(self._table.query(keys.versions(tenant), prefix=keys.versions_of(model_id)))
            self._release(tenant, model_id, versions)
            # Versions first: no tag or verdict can be added to a version that is gone.
            for items in (versions, self._table.query(keys.belongings(tenant, model_id))):
                self._table.remove({name: item[name] for name in (PARTITION_KEY, SORT_KEY)} for item in items)
            self._table.remove([keys.tombstone(tenant, model_id)])

    def _release(self, tenant: str, model_id: str, versions: Iterable[Item]) -> None:
        """Let go of the places that versions of a deleted model name, before the versions go."""
        places: dict[str, set[str]] = {}
        for version in map(version_of, versions):
            if path := artifact_path(version.location):
                places.setdefault(path, set()).add(holder(model_id, version.number))
        for path, holders in places.items():

            def attempt(path: str = path, holders: set[str] = holders) -> None:
                if releases := self._locations.releases(tenant, path, holders):
                    self._table.write(*releases)

            until_won(attempt)

    def set_alias(self, tenant: str, name: str, alias: str, number: int, *, by: str) -> None:
        """Point an alias at a version, wherever it pointed before.

        :raises Problem: 404, 400, 409 where the version lacks what the alias's policy asks for.
        """
        rules.model_name(name)
        rules.new_alias(alias)

        def attempt() -> Model | None:
            found = self._records.version_to_name(tenant, name, number)
            before = found.model
            aliases = before.aliases | {alias: number}
            if len(aliases) > rules.MAX_ALIASES:
                message = f"A model has at most {rules.MAX_ALIASES} aliases; delete one first."
                raise invalid_parameter(message, field="alias")
            if aliases == before.aliases:
                return None
            conditions = self._gate.passed(tenant, found, alias)
            model = msgspec.structs.replace(before, aliases=aliases)
            change = Change(
                by=by,
                at=self._clock(),
                action="alias.set",
                version=number,
                before={"aliases": {alias: before.aliases.get(alias)}},
                after={"aliases": {alias: number}},
            )
            self._table.write(
                *self._records.changed(tenant, model, before=before, change=change),
                Check(key=keys.version(tenant, before.id, number), condition=EXISTS),
                *conditions,
            )
            return model

        changed = self._records.in_turn(tenant, name, attempt)
        if changed is not None:
            self._tell(tenant, *events.alias(changed, alias, number))

    def delete_alias(self, tenant: str, name: str, alias: str, *, by: str) -> None:
        """Remove an alias; one that is absent is fine.

        :raises Problem: 404, 400.
        """
        rules.model_name(name)
        rules.alias(alias)

        def attempt() -> Model | None:
            before = self._records.model(tenant, name)
            if alias not in before.aliases:
                return None
            aliases = {key: value for key, value in before.aliases.items() if key != alias}
            model = msgspec.structs.replace(before, aliases=aliases)
            change = Change(
                by=by,
                at=self._clock(),
                action="alias.deleted",
                version=before.aliases[alias],
                before={"aliases": {alias: before.aliases[alias]}},
                after={"aliases": {alias: None}},
            )
            self._table.write(*self._records.changed(tenant, model, before=before, change=change))
            return model

        changed = self._records.in_turn(tenant, name, attempt)
        if changed is not None:
            self._tell(tenant, *events.alias(changed, alias, None))

    def by_alias(self, tenant: str, name: str, alias: str) -> VersionOf:
        """The version that an alias names; ``latest`` in any case is the highest version.

        :raises Problem: 404 for a missing model, 400 for a missing alias.
        """
        rules.model_name(name)
        rules.alias(alias)

        def wanted(model: Model) -> list[int]:
            if alias.lower() == "latest":
                return [max(model.latest.values())] if model.latest else []
            return [model.aliases[alias]] if alias in model.aliases else []

        found = until_won(lambda: self._records.selected(tenant, name, wanted))
        if found is not None:
            return VersionOf(model=found.model, version=self._records.all_tags(tenant, found.version))
        if alias.lower() == "latest":
            raise does_not_exist(f"Latest version not found for model {name}.")
        raise invalid_parameter(f"Registered model alias {alias} not found.", field="alias")

    def latest(self, tenant: str, name: str, stages: list[Stage]) -> tuple[Model, list[Version]]:
        """A model and its highest versions of ``stages`` (none named: of all).

        :raises Problem: 404.
        """
        model, versions = self.get(tenant, name)
        return model, [version for version in versions if not stages or version.stage in stages]


def _is_prompt(tags: Mapping[str, str]) -> bool:
    return tags.get(PROMPT_TAG, "false").lower() == "true"


def _taken(name: str, *, existing: bool, new: bool) -> Problem:
    if existing == new:
        return already_exists(f"{'Prompt' if new else 'Registered Model'} (name={name}) already exists.")
    wanted, there = ("prompt", "registered model") if new else ("registered model", "prompt")
    return already_exists(
        f"Tried to create a {wanted} with name '{name}', but the name is already taken by a {there}. MLflow does not"
        f" allow creating a model and a prompt with the same name."
    )
