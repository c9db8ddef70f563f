"""MLflow's Model Registry REST protocol: each call reads its parameters, makes one call into the domain, answers."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from starlette.requests import Request

from anfl.auth.principal import Principal
from anfl.http.adapters import StarletteHandler
from anfl.http.answers import Response, json_response
from anfl.registry import locations, rules, sources
from anfl.registry.entities import VersionOf
from anfl.registry.errors import invalid_parameter
from anfl.registry.registry import Registry
from services.model_registry.addresses import Address, address_of
from services.model_registry.entities import model_document, version_document
from services.model_registry.parameters import Kind, Parameters, Schema, read
from services.model_registry.validation import Validation

BASES = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow")
_MODELS_PER_PAGE = (100, 1000)
_VERSIONS_PER_PAGE = (200_000, 200_000)
_MODEL = {"name": Kind.REQUIRED}
_VERSION = _MODEL | {"version": Kind.REQUIRED}
_ALIAS = _MODEL | {"alias": Kind.REQUIRED}
_SEARCH = {"filter": Kind.TEXT, "max_results": Kind.INTEGER, "order_by": Kind.TEXTS, "page_token": Kind.TEXT}

Answer = dict[str, Any]
Call = Callable[[Principal, Parameters, Address], Answer]
"""(caller, parameters, where the caller reaches this service) → JSON document. Blocks."""


class SourceCheck(Protocol):
    """Refuses sources; see `sources.check_source`."""

    def __call__(self, source: str, *, tags: Mapping[str, str]) -> None:
        """:raises Problem: 400."""


class MlflowApi:
    """The calls of the protocol over a registry."""

    def __init__(self, registry: Registry, validation: Validation, *, check_source: SourceCheck) -> None:
        self._check_source = check_source
        self._models = registry.models
        self._versions = registry.versions
        self._model_tags = registry.model_tags
        self._version_tags = registry.version_tags
        self._aliases = registry.aliases
        self._stages = registry.stages
        self._search = registry.search
        self._records = registry.records
        self._store = registry.store
        self._validation = validation

    def handlers(self) -> dict[tuple[str, str], StarletteHandler]:
        """Every call under both bases, by (method, path)."""
        calls: dict[tuple[str, str], tuple[Schema, Call]] = {
            ("POST", "registered-models/create"): (
                _MODEL | {"tags": Kind.TAGS, "description": Kind.TEXT},
                self._create_model,
            ),
            ("GET", "registered-models/get"): (_MODEL, self._get_model),
            ("PATCH", "registered-models/update"): (_MODEL | {"description": Kind.TEXT}, self._update_model),
            ("POST", "registered-models/rename"): (_MODEL | {"new_name": Kind.REQUIRED}, self._rename_model),
            ("DELETE", "registered-models/delete"): (_MODEL, self._delete_model),
            ("GET", "registered-models/search"): (_SEARCH, self._search_models),
            ("GET", "registered-models/get-latest-versions"): (_MODEL | {"stages": Kind.TEXTS}, self._latest),
            ("POST", "registered-models/get-latest-versions"): (_MODEL | {"stages": Kind.TEXTS}, self._latest),
            ("POST", "registered-models/set-tag"): (
                _MODEL | {"key": Kind.REQUIRED, "value": Kind.TEXT},
                self._set_model_tag,
            ),
            ("DELETE", "registered-models/delete-tag"): (_MODEL | {"key": Kind.REQUIRED}, self._delete_model_tag),
            ("POST", "registered-models/alias"): (_ALIAS | {"version": Kind.REQUIRED}, self._set_alias),
            ("DELETE", "registered-models/alias"): (_ALIAS, self._delete_alias),
            ("GET", "registered-models/alias"): (_ALIAS, self._get_by_alias),
            ("POST", "model-versions/create"): (
                _MODEL
                | {
                    "source": Kind.REQUIRED,
                    "run_id": Kind.TEXT,
                    "tags": Kind.TAGS,
                    "run_link": Kind.TEXT,
                    "description": Kind.TEXT,
                    "model_id": Kind.TEXT,
                },
                self._create_version,
            ),
            ("GET", "model-versions/get"): (_VERSION, self._get_version),
            ("PATCH", "model-versions/update"): (_VERSION | {"description": Kind.TEXT}, self._update_version),
            ("POST", "model-versions/transition-stage"): (
                _VERSION | {"stage": Kind.REQUIRED, "archive_existing_versions": Kind.BOOLEAN},
                self._transition,
            ),
            ("DELETE", "model-versions/delete"): (_VERSION, self._delete_version),
            ("GET", "model-versions/search"): (_SEARCH, self._search_versions),
            ("GET", "model-versions/get-download-uri"): (_VERSION, self._download_uri),
            ("POST", "model-versions/set-tag"): (
                _VERSION | {"key": Kind.REQUIRED, "value": Kind.TEXT},
                self._set_version_tag,
            ),
            ("DELETE", "model-versions/delete-tag"): (_VERSION | {"key": Kind.REQUIRED}, self._delete_version_tag),
        }
        return {
            (method, f"{base}/{path}"): partial(_respond, schema=schema, call=call)
            for (method, path), (schema, call) in calls.items()
            for base in BASES
        }

    def _create_model(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        model = self._models.create(
            caller.tenant,
            given.text("name"),
            tags=given.tags(),
            description=given.optional("description"),
            by=caller.subject,
        )
        return {"registered_model": model_document(model)}

    def _get_model(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        return {"registered_model": model_document(*self._models.get(caller.tenant, given.text("name")))}

    def _update_model(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        self._models.describe(caller.tenant, given.text("name"), given.optional("description") or "", by=caller.subject)
        return self._get_model(caller, given, _address)

    def _rename_model(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        model = self._models.rename(caller.tenant, given.text("name"), given.text("new_name"), by=caller.subject)
        return {"registered_model": model_document(*self._models.get(caller.tenant, model.name))}

    def _delete_model(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        self._models.delete(caller.tenant, given.text("name"), by=caller.subject)
        return {}

    def _search_models(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        page = self._search.models(
            caller.tenant,
            where=given.optional("filter"),
            order_by=given.texts("order_by"),
            limit=_limit(given, *_MODELS_PER_PAGE),
            token=given.optional("page_token"),
        )
        answer: Answer = {}
        if page.models:
            answer["registered_models"] = [model_document(model, latest) for model, latest in page.models]
        if page.next_token is not None:
            answer["next_page_token"] = page.next_token
        return answer

    def _latest(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        stages = [rules.stage(text) for text in given.texts("stages")]
        model, versions = self._models.latest(caller.tenant, given.text("name"), stages)
        return {"model_versions": [version_document(model, v, aliases=True) for v in versions]} if versions else {}

    def _set_model_tag(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        self._model_tags.set(
            caller.tenant, given.text("name"), given.text("key"), given.optional("value") or "", by=caller.subject
        )
        return {}

    def _delete_model_tag(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        self._model_tags.delete(caller.tenant, given.text("name"), given.text("key"), by=caller.subject)
        return {}

    def _set_alias(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        self._aliases.set(caller.tenant, given.text("name"), given.text("alias"), _number(given), by=caller.subject)
        return {}

    def _delete_alias(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        self._aliases.delete(caller.tenant, given.text("name"), given.text("alias"), by=caller.subject)
        return {}

    def _get_by_alias(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        return _version(self._aliases.version(caller.tenant, given.text("name"), given.text("alias")))

    def _create_version(self, caller: Principal, given: Parameters, address: Address) -> Answer:
        name, source, tags = given.text("name"), given.text("source"), given.tags()
        rules.model_name(name)
        self._check_source(source, tags=tags)
        hosts = frozenset({address.host})
        location = sources.locate(
            source, tenant=caller.tenant, records=self._records, aliases=self._aliases, hosts=hosts
        )
        path = locations.artifact_path(location)
        created = self._versions.create(
            caller.tenant,
            name,
            source=source,
            location=location,
            run_id=given.optional("run_id") or "",
            run_link=given.optional("run_link") or "",
            description=given.optional("description") or "",
            tags=tags,
            check=self._validation.initial(location),
            place=None if path is None else partial(self._store.place, caller.tenant, path),
            keep=partial(self._store.keep, caller.tenant),
            by=caller.subject,
        )
        return _version(created)

    def _get_version(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        return _version(self._versions.get(caller.tenant, given.text("name"), _number(given)))

    def _update_version(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        return _version(
            self._versions.describe(
                caller.tenant, given.text("name"), _number(given), given.optional("description"), by=caller.subject
            )
        )

    def _transition(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        moved = self._stages.transition(
            caller.tenant,
            given.text("name"),
            _number(given),
            rules.stage(given.text("stage")),
            archive_existing=given.flag("archive_existing_versions"),
            by=caller.subject,
        )
        return _version(moved)

    def _delete_version(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        self._versions.delete(caller.tenant, given.text("name"), _number(given), by=caller.subject)
        return {}

    def _search_versions(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        page = self._search.versions(
            caller.tenant,
            where=given.optional("filter"),
            order_by=given.texts("order_by"),
            limit=_limit(given, *_VERSIONS_PER_PAGE),
            token=given.optional("page_token"),
        )
        answer: Answer = {}
        if page.versions:
            answer["model_versions"] = [version_document(of.model, of.version, aliases=False) for of in page.versions]
        if page.next_token is not None:
            answer["next_page_token"] = page.next_token
        return answer

    def _download_uri(self, caller: Principal, given: Parameters, address: Address) -> Answer:
        found = self._versions.get(caller.tenant, given.text("name"), _number(given))
        return {"artifact_uri": address.reachable(found.version.location)}

    def _set_version_tag(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        value = given.optional("value") or ""
        self._version_tags.set(
            caller.tenant, given.text("name"), _number(given), given.text("key"), value, by=caller.subject
        )
        return {}

    def _delete_version_tag(self, caller: Principal, given: Parameters, _address: Address) -> Answer:
        self._version_tags.delete(
            caller.tenant, given.text("name"), _number(given), given.text("key"), by=caller.subject
        )
        return {}


async def _respond(request: Request, principal: Principal, *, schema: Schema, call: Call) -> Response:
    given = await read(request, schema)
    return json_response(await asyncio.to_thread(call, principal, given, address_of(request)))


def _version(of: VersionOf) -> Answer:
    return {"model_version": version_document(of.model, of.version, aliases=True)}


def _number(given: Parameters) -> int:
    return rules.version_number(given.text("version"))


def _limit(given: Parameters, default: int, largest: int) -> int:
    """The size of a page. MLflow's server takes 0 for models and then never advances: refused here."""
    limit = given.number("max_results", default)
    if limit < 1:
        message = f"Invalid value for max_results. It must be a positive integer, but got {limit}"
        raise invalid_parameter(message, field="max_results")
    if limit > largest:
        message = f"Invalid value {limit} for parameter 'max_results' supplied: It must be at most {largest}"
        raise invalid_parameter(message, field="max_results")
    return limit
