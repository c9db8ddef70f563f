"""Aliases of models: names for versions, moved atomically and only to what their policies let them name."""

import msgspec

from anfl.registry import events, keys, rules
from anfl.registry.audit import Change
from anfl.registry.clock import Clock
from anfl.registry.edits import Edited, Edits
from anfl.registry.entities import Model, VersionOf
from anfl.registry.errors import does_not_exist, invalid_parameter
from anfl.registry.gate import Gate
from anfl.registry.outbox import Outbox
from anfl.registry.records import Records
from anfl.registry.table import EXISTS, Check, until_won


class Aliases:
    """Aliases of all tenants' models; every method takes the tenant first and reaches nothing of another's.

    Methods raise `anfl.problems.Problem` as MLflow's server would, and botocore's errors.
    """

    def __init__(self, records: Records, edits: Edits, outbox: Outbox, *, gate: Gate, clock: Clock) -> None:
        self._records = records
        self._edits = edits
        self._gate = gate
        self._outbox = outbox
        self._clock = clock

    def set(self, tenant: str, name: str, alias: str, number: int, *, by: str) -> None:
        """Point an alias at a version, wherever it pointed before.

        :raises Problem: 404, 400, 409 where the version lacks what the alias's policy asks for.
        """
        rules.model_name(name)
        rules.new_alias(alias)

        def attempt() -> None:
            found = self._records.version(tenant, name, number)
            before = found.model
            aliases = before.aliases | {alias: number}
            if len(aliases) > rules.MAX_ALIASES:
                message = f"A model has at most {rules.MAX_ALIASES} aliases; delete one first."
                raise invalid_parameter(message, field="alias")
            if aliases == before.aliases:
                return
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
            self._outbox.commit(
                *self._records.changed(tenant, model, before=before, change=change),
                Check(key=keys.version(tenant, before.id, number), condition=EXISTS),
                *conditions,
                letters=[events.alias(tenant, model, alias, number, at=change.at)],
            )

        self._records.in_turn(tenant, name, attempt)

    def delete(self, tenant: str, name: str, alias: str, *, by: str) -> None:
        """Remove an alias; one that is absent is fine.

        :raises Problem: 404, 400.
        """
        rules.model_name(name)
        rules.alias(alias)

        def edit(model: Model, moment: int) -> Edited[Model] | None:
            if alias not in model.aliases:
                return None
            aliases = {key: value for key, value in model.aliases.items() if key != alias}
            return Edited(
                record=msgspec.structs.replace(model, aliases=aliases),
                before={"aliases": {alias: model.aliases[alias]}},
                after={"aliases": {alias: None}},
                version=model.aliases[alias],
                letters=[events.alias(tenant, model, alias, None, at=moment)],
            )

        self._edits.model(tenant, name, edit, by=by, action="alias.deleted")

    def version(self, tenant: str, name: str, alias: str) -> VersionOf:
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
