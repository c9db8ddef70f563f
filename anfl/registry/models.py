"""Registered models: create, read, describe, rename, delete."""

import uuid
from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from anfl.problems import Problem
from anfl.registry import events, keys, rules
from anfl.registry.audit import DELETED, Change
from anfl.registry.clock import Clock
from anfl.registry.edits import Edited, Edits
from anfl.registry.entities import PROMPT_TAG, Model, Stage, Version
from anfl.registry.errors import already_exists
from anfl.registry.leftovers import Leftovers
from anfl.registry.outbox import Outbox
from anfl.registry.records import Records, large_tag_puts, model_of
from anfl.registry.table import LostRaceError, Put, until_won
from anfl.registry.tags import arrange


class Models:
    """Registered models of all tenants; every method takes the tenant first and reaches nothing of another's.

    Methods raise `anfl.problems.Problem` as MLflow's server would, and botocore's errors.
    """

    def __init__(self, records: Records, edits: Edits, outbox: Outbox, leftovers: Leftovers, *, clock: Clock) -> None:
        self._records = records
        self._edits = edits
        self._leftovers = leftovers
        self._outbox = outbox
        self._table = records.table
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
                self._outbox.commit(
                    *self._records.changed(tenant, model, before=None, change=change),
                    *large_tag_puts(tenant, model.id, None, arranged.spilled),
                    letters=[events.model_created(tenant, model, tags or {}, at=moment)],
                )
            except LostRaceError:
                item = self._table.get(keys.model(tenant, name))
                if item is None:  # another one's creation was under way, and came to nothing
                    raise
                raise _taken(name, existing=events.is_prompt(model_of(item)), new=_is_prompt(tags or {})) from None

        until_won(attempt)
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

        def edit(model: Model, moment: int) -> Edited[Model]:
            return Edited(
                record=msgspec.structs.replace(model, description=text, updated_at=moment),
                before={"description": model.description},
                after={"description": text},
            )

        return self._records.all_tags(tenant, self._edits.model(tenant, name, edit, by=by, action="model.described"))

    def rename(self, tenant: str, name: str, new_name: str, *, by: str) -> Model:
        """Give a model another name; versions, tags and aliases follow without being touched.

        :raises Problem: 404, 400, also where the new name is taken.
        """
        rules.model_name(new_name, field="new_name")

        def edit(model: Model, moment: int) -> Edited[Model]:
            if new_name != name and self._table.get(keys.model(tenant, new_name)) is not None:
                raise already_exists(f"Registered Model (name={new_name}) already exists.")
            return Edited(
                record=msgspec.structs.replace(model, name=new_name, updated_at=moment, renamed_at=moment),
                before={"name": name},
                after={"name": new_name},
            )

        return self._records.all_tags(tenant, self._edits.model(tenant, name, edit, by=by, action="model.renamed"))

    def delete(self, tenant: str, name: str, *, by: str) -> None:
        """Remove a model with its versions, tags, aliases and verdicts.

        The name is free and the model invisible at once; what hung off it follows. Where that is interrupted, the next
        deletion finishes it, and so does the same one again.

        :raises Problem: 404; 503, it is deleted, and not all that hung off it is.
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
        except Problem as problem:  # it may be gone already: an earlier deletion may have been interrupted
            if name not in self._leftovers.remove(tenant) or problem.status != HTTPStatus.NOT_FOUND:
                raise
        else:
            self._leftovers.remove(tenant)

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
