"""Events of the registry as MLflow names them, and what each tells. Times are milliseconds since the epoch."""

from collections.abc import Mapping

from anfl.registry.entities import PROMPT_TAG, Model, Version
from anfl.registry.letters import Data, Event

_PROMPT_TEXT = "mlflow.prompt.text"
_PROMPT_TYPE = "_mlflow_prompt_type"


def is_prompt(model: Model) -> bool:
    """Whether a model is one of MLflow's prompts, whose events have names of their own."""
    return model.tags.get(PROMPT_TAG, "false").lower() == "true"


def model_created(tenant: str, model: Model, tags: Mapping[str, str], *, at: int) -> Event:
    """A model is there."""
    about = {"name": model.name, "description": model.description}
    if not is_prompt(model):
        return Event(tenant=tenant, name="REGISTERED_MODEL.CREATED", data=about | {"tags": dict(tags)}, at=at)
    shown = {key: value for key, value in tags.items() if key not in (PROMPT_TAG, _PROMPT_TYPE)}
    return Event(tenant=tenant, name="PROMPT.CREATED", data=about | {"tags": shown}, at=at)


def version_created(tenant: str, model: Model, version: Version, tags: Mapping[str, str], *, at: int) -> Event:
    """A version is there."""
    about = {"name": model.name, "version": str(version.number), "description": version.description or None}
    if not is_prompt(model):
        more = {"source": version.source, "run_id": version.run_id or None, "tags": dict(tags)}
        return Event(tenant=tenant, name="MODEL_VERSION.CREATED", data=about | more, at=at)
    hidden = (PROMPT_TAG, _PROMPT_TYPE, _PROMPT_TEXT)
    shown = {key: value for key, value in tags.items() if key not in hidden}
    prompt = about | {"template": tags.get(_PROMPT_TEXT), "tags": shown}
    return Event(tenant=tenant, name="PROMPT_VERSION.CREATED", data=prompt, at=at)


def version_tag(tenant: str, model: Model, number: int, key: str, value: str | None, *, at: int) -> Event:
    """A version's tag is set; ``value`` None: removed."""
    entity = "PROMPT_VERSION_TAG" if is_prompt(model) else "MODEL_VERSION_TAG"
    about = {"name": model.name, "version": str(number), "key": key}
    return _set_or_deleted(tenant, entity, "SET", about, None if value is None else {"value": value}, at=at)


def alias(tenant: str, model: Model, name: str, number: int | None, *, at: int) -> Event:
    """An alias is set; ``number`` None: removed."""
    entity = "PROMPT_ALIAS" if is_prompt(model) else "MODEL_VERSION_ALIAS"
    about = {"name": model.name, "alias": name}
    return _set_or_deleted(
        tenant, entity, "CREATED", about, None if number is None else {"version": str(number)}, at=at
    )


def model_tag(tenant: str, model: Model, key: str, value: str | None, *, at: int) -> list[Event]:
    """A model's tag is set; ``value`` None: removed. MLflow has such events for prompts alone."""
    if not is_prompt(model):
        return []
    about = {"name": model.name, "key": key}
    return [_set_or_deleted(tenant, "PROMPT_TAG", "SET", about, None if value is None else {"value": value}, at=at)]


def _set_or_deleted(tenant: str, entity: str, done: str, about: Data, more: Data | None, *, at: int) -> Event:
    if more is None:
        return Event(tenant=tenant, name=f"{entity}.DELETED", data=about, at=at)
    return Event(tenant=tenant, name=f"{entity}.{done}", data={**about, **more}, at=at)
