"""Models and versions as MLflow's protocol spells them: absent fields are left out, versions are text."""

from collections.abc import Iterable, Mapping
from typing import Any

from anfl.registry.entities import Model, Version

Document = dict[str, Any]


def model_document(model: Model, latest: Iterable[Version] = ()) -> Document:
    """``RegisteredModel``."""
    document: Document = {
        "name": model.name,
        "creation_timestamp": model.created_at,
        "last_updated_timestamp": model.updated_at,
    }
    if model.description:
        document["description"] = model.description
    versions = [version_document(model, version, aliases=False) for version in latest]
    if versions:
        document["latest_versions"] = versions
    if model.tags:
        document["tags"] = _tags(model.tags)
    if model.aliases:
        document["aliases"] = [{"alias": alias, "version": str(n)} for alias, n in sorted(model.aliases.items())]
    return document


def version_document(model: Model, version: Version, *, aliases: bool) -> Document:
    """``ModelVersion``. MLflow's server leaves the aliases out of lists; ``aliases`` says whether they are told."""
    optional = {
        "description": version.description,
        "run_id": version.run_id,
        "run_link": version.run_link,
        "tags": _tags(version.tags) or None,
        "aliases": (model.aliases_of(version.number) if aliases else None) or None,
    }
    return {
        "name": model.name,
        "version": str(version.number),
        "creation_timestamp": version.created_at,
        "last_updated_timestamp": version.changed_at(model),
        "current_stage": str(version.stage),
        "source": version.source,
        "status": "READY",
    } | {name: value for name, value in optional.items() if value is not None}


def _tags(tags: Mapping[str, str]) -> list[Document]:
    return [{"key": key, "value": value} for key, value in tags.items()]
