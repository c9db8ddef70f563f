"""Search over a tenant's models and versions. What each costs stands in `anfl.registry.keys`.

Pages go by an opaque token. Models in the order of their names continue after the last name, every other order by
offset, as MLflow's own server does; neither promises a snapshot.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import msgspec

from anfl.registry import filters, keys, ordering
from anfl.registry.entities import PROMPT_TAG, Model, Version, VersionOf
from anfl.registry.errors import invalid_parameter
from anfl.registry.filters import Filter
from anfl.registry.records import Records, model_of, sort_of, version_of
from anfl.registry.table import Item
from anfl.resources import PARTITION_KEY, SORT_KEY

Row = TypeVar("Row")
_NONE_SPILLED = '"spilled":[]'


class _Position(msgspec.Struct, frozen=True, omit_defaults=True):
    offset: int = 0
    after: str | None = None


class ModelPage(msgspec.Struct, frozen=True, kw_only=True):
    """Models with their latest versions, and the token of the next page where there is one."""

    models: list[tuple[Model, list[Version]]]
    next_token: str | None


class VersionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Versions, and the token of the next page where there is one."""

    versions: list[VersionOf]
    next_token: str | None


class Search:
    """Search over all tenants' models; every method takes the tenant first and reaches nothing of another's."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._table = records.table

    def models(
        self, tenant: str, *, where: str | None, order_by: Sequence[str], limit: int, token: str | None
    ) -> ModelPage:
        """Registered models.

        :raises Problem: 400 for a filter, order or token that cannot be read.
        """
        condition = filters.parse(where, filters.MODEL_ATTRIBUTES)
        orders = ordering.parse(order_by, keys=ordering.MODEL_KEYS, ties=ordering.MODEL_TIES)
        position = _read_token(token)
        if orders[0].field == "name":
            matching = self._matching_models(tenant, condition, descending=orders[0].descending, after=position.after)
            rows, more = _take(matching, offset=position.offset, limit=limit)
            next_position = _Position(after=rows[-1].name) if rows else _Position()
        else:
            found = list(self._matching_models(tenant, condition, descending=False, after=None))
            ordering.sort(found, orders, _model_field)
            rows, more = _take(found, offset=position.offset, limit=limit)
            next_position = _Position(offset=position.offset + limit)
        return ModelPage(models=self._with_latest(tenant, rows), next_token=_token(next_position) if more else None)

    def versions(
        self, tenant: str, *, where: str | None, order_by: Sequence[str], limit: int, token: str | None
    ) -> VersionPage:
        """Versions of models.

        :raises Problem: 400 for a filter, order or token that cannot be read.
        """
        condition = filters.parse(where, filters.VERSION_ATTRIBUTES)
        chosen = order_by or ordering.VERSION_DEFAULT
        orders = ordering.parse(chosen, keys=ordering.VERSION_KEYS, ties=ordering.VERSION_TIES, noun="attribute")
        position = _read_token(token)
        found = self._matching_versions(tenant, condition)
        ordering.sort(found, orders, _version_field)
        rows, more = _take(found, offset=position.offset, limit=limit)
        next_token = _token(_Position(offset=position.offset + limit)) if more else None
        shown = [VersionOf(model=of.model, version=self._records.all_tags(tenant, of.version)) for of in rows]
        return VersionPage(versions=shown, next_token=next_token)

    def _matching_models(
        self, tenant: str, condition: Filter, *, descending: bool, after: str | None
    ) -> Iterator[Model]:
        for model in self._candidates(tenant, condition, descending=descending, after=after):
            if any(c.is_tag for c in condition.comparisons) or model.spilled:
                tagged = self._records.all_tags(tenant, model)
            else:
                tagged = model
            if not condition.prompts and tagged.tags.get(PROMPT_TAG) == "true":
                continue
            if condition.holds({"name": tagged.name}, tagged.tags):
                yield tagged

    def _candidates(self, tenant: str, condition: Filter, *, descending: bool, after: str | None) -> Iterator[Model]:
        """Models that the conditions on names leave, in the order of their names (as UTF-8), beyond ``after``."""
        names = _listed(condition, "name")
        if names is not None:
            beyond = sorted((name for name in names if name), key=str.encode, reverse=descending)
            if after is not None:
                edge = after.encode()
                beyond = [n for n in beyond if (n.encode() < edge if descending else n.encode() > edge)]
            usable = [name for name in beyond if len(name.encode()) <= keys.MAX_SORT_KEY_BYTES]
            items = self._table.get_many([keys.model(tenant, name) for name in usable])
            for name in usable:
                item = items.get(sort_of(keys.model(tenant, name)))
                if item is not None:
                    yield model_of(item)
            return
        prefix = _prefix(condition)
        if after is not None and not after.startswith(prefix):  # the filter changed between two pages
            if (after.encode() > prefix.encode()) is not descending:
                return
            after = None
        partition = keys.models(tenant)
        can_hold = _glance(condition)
        for item in self._table.query(partition, prefix=prefix, descending=descending, after=after):
            if can_hold(item["document"]):
                yield model_of(item)

    def _matching_versions(self, tenant: str, condition: Filter) -> list[VersionOf]:
        models = self._enumerated(tenant, condition)
        if models is None:
            models = {item["id"]: item for item in self._table.query(keys.models(tenant), prefix=_prefix(condition))}
            items: Iterable[Item] = self._table.query(keys.versions(tenant))
        else:
            items = (
                item
                for model_id in models
                for item in self._table.query(keys.versions(tenant), prefix=keys.versions_of(model_id))
            )
        can_hold = _glance(condition)
        tagged = {comparison.key for comparison in condition.comparisons if comparison.is_tag} | {PROMPT_TAG}
        found: list[VersionOf] = []
        prompts: set[str] = set()
        for item in items:
            if not can_hold(item["document"]) and PROMPT_TAG not in item["document"]:
                continue
            version = version_of(item)
            named = models.get(version.model_id)
            if named is None:  # filtered by name, or of a model that is being deleted
                continue
            model = model_of(named)
            if not tagged.isdisjoint(version.spilled):
                version = self._records.all_tags(tenant, version)
            if version.tags.get(PROMPT_TAG) == "true":
                prompts.add(version.model_id)
            if condition.holds(_attributes(model, version), version.tags):
                found.append(VersionOf(model=model, version=version))
        return [of for of in found if condition.prompts or of.version.model_id not in prompts]

    def _enumerated(self, tenant: str, condition: Filter) -> dict[str, Item] | None:
        """Records by id of the only models whose versions can match; None where conditions do not enumerate them."""
        names, runs = _listed(condition, "name"), _listed(condition, "run_id")
        if names is not None:
            usable = [name for name in names if name and len(name.encode()) <= keys.MAX_SORT_KEY_BYTES]
            found = self._table.get_many([keys.model(tenant, name) for name in usable])
            return {item["id"]: item for item in found.values()}
        if runs is None or "" in runs:  # what no run made is not listed
            return None
        makers: dict[str, str] = {}
        for run in runs:
            for item in self._table.query(keys.runs(tenant), prefix=keys.made_by(run)):
                makers[item[SORT_KEY].split("#")[1]] = item["name"]
        records = {model_id: self._records.model_by_id(tenant, name, model_id) for model_id, name in makers.items()}
        return {model_id: item for model_id, item in records.items() if item is not None}

    def _with_latest(self, tenant: str, models: Sequence[Model]) -> list[tuple[Model, list[Version]]]:
        wanted = {
            model.id: [keys.version(tenant, model.id, number) for number in sorted(model.latest.values())]
            for model in models
        }
        items = self._table.get_many([key for group in wanted.values() for key in group])
        return [
            (
                model,
                [
                    self._records.all_tags(tenant, version_of(items[key[PARTITION_KEY], key[SORT_KEY]]))
                    for key in wanted[model.id]
                    if (key[PARTITION_KEY], key[SORT_KEY]) in items
                ],
            )
            for model in models
        ]


def _listed(condition: Filter, attribute: str) -> set[str] | None:
    """The only values of an attribute that can match; None where conditions do not enumerate them."""
    listed: set[str] | None = None
    for comparison in condition.on(attribute, ("=", "IN")):
        given = set(comparison.value) if isinstance(comparison.value, tuple) else {str(comparison.value)}
        listed = given if listed is None else listed & given
    return listed


def _glance(condition: Filter) -> Callable[[str], bool]:
    """Whether a filter can hold for a record, by its document as it is stored: most are never decoded."""
    anyhow: list[str] = []
    unless_spilled: list[str] = []
    for comparison in condition.comparisons:
        texts = anyhow
        if comparison.is_tag:
            anyhow.append(_quoted(comparison.key))  # also where the value stands elsewhere
            texts = unless_spilled
        if comparison.operator == "=" and (comparison.is_tag or comparison.key in ("run_id", "source_path")):
            texts.append(_quoted(str(comparison.value)))

    def can_hold(document: str) -> bool:
        if not all(text in document for text in anyhow):
            return False
        return all(text in document for text in unless_spilled) or _NONE_SPILLED not in document

    return can_hold


def _quoted(text: str) -> str:
    """A text as it stands in a document."""
    return msgspec.json.encode(text).decode()


def _prefix(condition: Filter) -> str:
    """What every matching name begins with."""
    prefixes = (str(c.value).split("%")[0].split("_")[0] for c in condition.on("name", ("LIKE",)))
    longest = max(prefixes, key=len, default="")
    return longest if len(longest.encode()) <= keys.MAX_SORT_KEY_BYTES else ""


def _attributes(model: Model, version: Version) -> dict[str, str | int | None]:
    return {
        "name": model.name,
        "run_id": version.run_id,
        "source_path": version.source,
        "version_number": version.number,
    }


def _model_field(model: Model, field: str) -> str | int:
    return model.updated_at if field == "updated_at" else model.name


def _version_field(of: VersionOf, field: str) -> str | int:
    match field:
        case "name":
            return of.model.name
        case "number":
            return of.version.number
        case "created_at":
            return of.version.created_at
        case _:
            return of.version.changed_at(of.model)


def _take(rows: Iterable[Row], *, offset: int, limit: int) -> tuple[list[Row], bool]:
    page = list(islice(rows, offset, offset + limit + 1))
    return page[:limit], len(page) > limit


def _token(position: _Position) -> str:
    return base64.b64encode(msgspec.json.encode(position)).decode()


def _read_token(token: str | None) -> _Position:
    if not token:
        return _Position()
    try:
        decoded = base64.b64decode(token, validate=True)
    except (binascii.Error, ValueError):
        raise invalid_parameter("Invalid page token, could not base64-decode", field="page_token") from None
    try:
        position = msgspec.json.decode(decoded, type=_Position)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise invalid_parameter(f"Invalid page token, decoded value={decoded!r}", field="page_token") from None
    if position.after is not None and len(position.after.encode()) > keys.MAX_SORT_KEY_BYTES:
        raise invalid_parameter("Invalid page token, it names no model", field="page_token")
    if position.offset < 0 or (position.after is None and position.offset == 0) or position.after == "":
        raise invalid_parameter(f"Invalid page token, parsed value={decoded!r}", field="page_token")
    return position
