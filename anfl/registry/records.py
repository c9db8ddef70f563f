"""Reading and writing models and versions as items: what models, versions, search and verdicts share."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TypeVar

import msgspec

from anfl.problems import Problem
from anfl.registry import keys, rules
from anfl.registry.entities import Model, Version, VersionOf
from anfl.registry.errors import model_not_found, version_not_found
from anfl.registry.table import ABSENT, Action, Condition, Delete, Item, Put, Table
from anfl.registry.tags import check_spilled, fits
from anfl.resources import PARTITION_KEY, SORT_KEY

_REMEMBERED = 10_000
Tagged = TypeVar("Tagged", Model, Version)


class Records:
    """Typed access to one table's models and versions."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._hints: OrderedDict[tuple[str, str], Model] = OrderedDict()
        self._lock = threading.Lock()

    def reachable(self) -> None:
        """Read something, to see whether the table can be.

        :raises botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: it cannot.
        """
        self.table.get(keys.model("-", "-"))

    # A model that was seen before tells which items a request will need besides its record, so that all of them come
    # in one call. The record itself is always read again: a stale hint costs a second call, never a wrong answer.

    def _hint(self, tenant: str, name: str) -> Model | None:
        with self._lock:
            return self._hints.get((tenant, name))

    def _remember(self, tenant: str, name: str, model: Model | None) -> None:
        with self._lock:
            if model is None:
                self._hints.pop((tenant, name), None)
                return
            self._hints[tenant, name] = model
            self._hints.move_to_end((tenant, name))
            if len(self._hints) > _REMEMBERED:
                self._hints.popitem(last=False)

    def model(self, tenant: str, name: str) -> Model:
        """A model without its large tags.

        :raises Problem: 404, 400 for an impossible name.
        """
        rules.model_name(name)
        item = self.table.get(keys.model(tenant, name))
        model = None if item is None else model_of(item)
        self._remember(tenant, name, model)
        if model is None:
            raise model_not_found(name)
        return model

    def version(self, tenant: str, name: str, number: int) -> VersionOf:
        """A version without its large tags, and its model.

        :raises Problem: 404 (that of the version, as MLflow says it, also where there is no such model), 400 for an
            impossible name.
        """
        try:
            return self.version_to_name(tenant, name, number)
        except Problem as problem:
            raise version_not_found(name, number) if problem.status == HTTPStatus.NOT_FOUND else problem from None

    def version_to_name(self, tenant: str, name: str, number: int) -> VersionOf:
        """As `version`; a missing model is told as such.

        :raises Problem: 404, 400 for an impossible name.
        """
        possible = 0 < number <= keys.LARGEST_NUMBER
        found = self.selected(tenant, name, lambda _: [number] if possible else [])
        if found is None:
            raise version_not_found(name, number)
        return found

    def by_id(self, tenant: str, name: str, model_id: str, number: int) -> VersionOf | None:
        """A version by its model's id, as messages name it; None where it is gone.

        :param name: the model's name when the message was sent; a renamed model's record is not looked for.
        """
        found = self.table.get_many([keys.version(tenant, model_id, number), keys.model(tenant, name)])
        version = found.get(sort_of(keys.version(tenant, model_id, number)))
        if version is None:
            return None
        model = found.get(sort_of(keys.model(tenant, name)))
        known = model_of(model) if model is not None and model["id"] == model_id else None
        stand_in = Model(id=model_id, name=name, created_at=0, updated_at=0)
        return VersionOf(model=known or stand_in, version=version_of(version))

    def selected(self, tenant: str, name: str, wanted: Callable[[Model], list[int]]) -> VersionOf | None:
        """A model and the version that ``wanted`` chooses; None where it chooses none, or one that does not exist.

        :raises Problem: 404, 400 for an impossible name.
        """
        model, versions = self._together(tenant, name, wanted)
        return next((VersionOf(model=model, version=version) for version in versions), None)

    def with_latest(self, tenant: str, name: str) -> tuple[Model, list[Version]]:
        """A model and its highest version of each stage, by number, without large tags.

        :raises Problem: 404, 400 for an impossible name.
        """
        return self._together(tenant, name, lambda model: sorted(model.latest.values()))

    def _together(self, tenant: str, name: str, wanted: Callable[[Model], list[int]]) -> tuple[Model, list[Version]]:
        """A model and those of the versions ``wanted(model)`` that exist, in one call where the hint is right."""
        rules.model_name(name)
        record = keys.model(tenant, name)
        while True:
            hint = self._hint(tenant, name)
            guessed = [] if hint is None else [keys.version(tenant, hint.id, number) for number in wanted(hint)]
            found = self.table.get_many([record, *guessed])
            item = found.get(sort_of(record))
            model = None if item is None else model_of(item)
            self._remember(tenant, name, model)
            if model is None:
                raise model_not_found(name)
            numbers = wanted(model)
            needed = [keys.version(tenant, model.id, number) for number in numbers]
            missing = [key for key in needed if key not in guessed]
            if missing:
                found |= self.table.get_many(missing)
            items = [found.get(sort_of(key)) for key in needed]
            # The record named a version that is gone: it was deleted between two reads, so the record is old too.
            promised = {*model.latest.values(), *model.aliases.values()}
            if all(item is not None or number not in promised for number, item in zip(numbers, items, strict=True)):
                return model, [version_of(item) for item in items if item is not None]

    def all_tags(self, tenant: str, record: Tagged) -> Tagged:
        """``record`` with its large tags as well (one more query where it has any)."""
        if not record.spilled:
            return record
        model_id, number = _owner(record)
        prefix = keys.tag_prefix(number)
        items = self.table.query(keys.belongings(tenant, model_id), prefix=prefix)
        large = {item[SORT_KEY][len(prefix) :]: item["value"] for item in items}
        return msgspec.structs.replace(
            record, tags=record.tags | {k: v for k, v in large.items() if k in record.spilled}
        )

    def put_model(self, tenant: str, model: Model, *, before: Model | None) -> Put:
        """Write ``model`` as its next revision, provided that ``before`` (None: nothing) is still what stands there."""
        condition = ABSENT if before is None else unchanged(before)
        revision = 1 if before is None else before.revision + 1
        item = item_of(msgspec.structs.replace(model, revision=revision))
        return Put(key=keys.model(tenant, model.name), item=item, condition=condition)

    def put_version(self, tenant: str, version: Version, *, before: Version | None) -> Put:
        """As `put_model`."""
        condition = ABSENT if before is None else Condition(revision=before.revision)
        revision = 1 if before is None else before.revision + 1
        item = item_of(msgspec.structs.replace(version, revision=revision))
        return Put(key=keys.version(tenant, version.model_id, version.number), item=item, condition=condition)


def put_tag(tenant: str, record: Tagged, key: str, value: str) -> tuple[Tagged, list[Action]]:
    """``record`` with a tag set, and the actions on large tags that belong to the same transaction.

    :raises Problem: 400 for too many large tags.
    """
    model_id, number = _owner(record)
    place = keys.tag(tenant, model_id, number, key)
    if fits(record.tags, key, value):
        actions: list[Action] = [Delete(key=place)] if key in record.spilled else []
        return _with(record, tags=record.tags | {key: value}, spilled=record.spilled - {key}), actions
    check_spilled(len(record.spilled | {key}))
    tags = {k: v for k, v in record.tags.items() if k != key}
    return _with(record, tags=tags, spilled=record.spilled | {key}), [Put(key=place, item={"value": value})]


def drop_tag(tenant: str, record: Tagged, key: str) -> tuple[Tagged, list[Action]]:
    """``record`` without a tag, and the actions on large tags that belong to the same transaction."""
    model_id, number = _owner(record)
    tags = {k: v for k, v in record.tags.items() if k != key}
    actions: list[Action] = [Delete(key=keys.tag(tenant, model_id, number, key))] if key in record.spilled else []
    return _with(record, tags=tags, spilled=record.spilled - {key}), actions


def large_tag_puts(tenant: str, model_id: str, number: int | None, spilled: Mapping[str, str]) -> Sequence[Put]:
    """The large tags of a new record."""
    return [Put(key=keys.tag(tenant, model_id, number, k), item={"value": v}) for k, v in spilled.items()]


def unchanged(model: Model) -> Condition:
    """That ``model`` is still what stands under its name: not another one that took the name over."""
    return Condition(revision=model.revision, id=model.id)


def sort_of(key: keys.Key) -> tuple[str, str]:
    """A key as `Table.get_many` returns it."""
    return key[PARTITION_KEY], key[SORT_KEY]


def model_of(item: Item) -> Model:
    """The model in an item."""
    return msgspec.convert(item, Model)


def version_of(item: Item) -> Version:
    """The version in an item."""
    return msgspec.convert(item, Version)


def item_of(record: Model | Version) -> Item:
    """The attributes of a record."""
    item: Item = msgspec.to_builtins(record)
    return item


def _with(record: Tagged, *, tags: dict[str, str], spilled: frozenset[str]) -> Tagged:
    return msgspec.structs.replace(record, tags=tags, spilled=spilled)


def _owner(record: Model | Version) -> tuple[str, int | None]:
    return (record.id, None) if isinstance(record, Model) else (record.model_id, record.number)
