"""Tags of models and of versions. `anfl.registry.tags` says where their values stand."""

from anfl.registry import events, rules
from anfl.registry.edits import Edited, Edits
from anfl.registry.entities import Model, Version, VersionOf
from anfl.registry.records import Records, drop_tag, put_tag
from anfl.registry.table import Action


class ModelTags:
    """Tags of all tenants' models; every method takes the tenant first and reaches nothing of another's."""

    def __init__(self, records: Records, edits: Edits) -> None:
        self._records = records
        self._edits = edits

    def set(self, tenant: str, name: str, key: str, value: str, *, by: str) -> None:
        """Set a tag.

        :raises Problem: 404, 400.
        """
        rules.model_name(name)
        rules.tag(key, value)

        def edit(model: Model, moment: int) -> Edited[Model] | None:
            tagged, actions = put_tag(tenant, model, key, value)
            return self._tagged(tenant, model, tagged, actions, key, value, moment)

        self._edits.model(tenant, name, edit, by=by, action="model.tag.set")

    def delete(self, tenant: str, name: str, key: str, *, by: str) -> None:
        """Remove a tag; one that is absent is fine.

        :raises Problem: 404, 400.
        """
        rules.model_name(name)
        rules.tag_key(key)

        def edit(model: Model, moment: int) -> Edited[Model] | None:
            untagged, actions = drop_tag(tenant, model, key)
            return self._tagged(tenant, model, untagged, actions, key, None, moment)

        self._edits.model(tenant, name, edit, by=by, action="model.tag.deleted")

    def _tagged(
        self, tenant: str, model: Model, tagged: Model, actions: list[Action], key: str, value: str | None, at: int
    ) -> Edited[Model] | None:
        if tagged == model and not actions:
            return None
        return Edited(
            record=tagged,
            before={"tags": {key: self._records.tag_value(tenant, model, key)}},
            after={"tags": {key: value}},
            actions=actions,
            letters=events.model_tag(tenant, tagged, key, value, at=at),
        )


class VersionTags:
    """Tags of all tenants' versions; every method takes the tenant first and reaches nothing of another's."""

    def __init__(self, records: Records, edits: Edits) -> None:
        self._records = records
        self._edits = edits

    def set(self, tenant: str, name: str, number: int, key: str, value: str, *, by: str) -> None:
        """Set a tag.

        :raises Problem: 404, 400.
        """
        rules.tag(key, value)

        def edit(of: VersionOf, moment: int) -> Edited[Version] | None:
            tagged, actions = put_tag(tenant, of.version, key, value)
            return self._tagged(tenant, of, tagged, actions, key, value, moment)

        self._edits.version(tenant, name, number, edit, by=by, action="version.tag.set")

    def delete(self, tenant: str, name: str, number: int, key: str, *, by: str) -> None:
        """Remove a tag; one that is absent is fine.

        :raises Problem: 404, 400.
        """
        rules.tag_key(key)

        def edit(of: VersionOf, moment: int) -> Edited[Version] | None:
            untagged, actions = drop_tag(tenant, of.version, key)
            return self._tagged(tenant, of, untagged, actions, key, None, moment)

        self._edits.version(tenant, name, number, edit, by=by, action="version.tag.deleted")

    def _tagged(
        self, tenant: str, of: VersionOf, tagged: Version, actions: list[Action], key: str, value: str | None, at: int
    ) -> Edited[Version] | None:
        if tagged == of.version and not actions:
            return None
        return Edited(
            record=tagged,
            before={"tags": {key: self._records.tag_value(tenant, of.version, key)}},
            after={"tags": {key: value}},
            actions=actions,
            letters=[events.version_tag(tenant, of.model, tagged.number, key, value, at=at)],
        )
