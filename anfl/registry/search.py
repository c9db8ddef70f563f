"""Search over a tenant's models and versions. What each costs stands in `anfl.registry.keys`.

Pages go by an opaque token, and end where the gateway's limit of an answer would be passed (`anfl.registry.pages`).
Models in the order of their names continue after the last name, every other order by offset, as MLflow's own server
does; neither promises a snapshot.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import batched, chain, islice
from typing import Any

import msgspec

from anfl.registry import filters, glances, keys, marks, ordering, pages
from anfl.registry.candidates import Candidates, name_prefix
from anfl.registry.clock import Clock, now
from anfl.registry.entities import PROMPT_TAG, Model, Version, VersionOf
from anfl.registry.errors import invalid_parameter
from anfl.registry.filters import Filter
from anfl.registry.known import MAX_BYTES
from anfl.registry.marks import DOCUMENT
from anfl.registry.records import Records, model_in, sort_of, version_of
from anfl.registry.room import Room, Share
from anfl.registry.table import BATCH_GET

_MAX_OFFSET = 10**9
_Named = tuple[str, str]
"""A model's name and its document."""
_MODEL_KEYS: Mapping[str, Callable[[_Named], Any]] = {
    "name": lambda model: model[0],
    "updated_at": lambda model: glances.times(model[1]).updated_at,
}


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

    def __init__(
        self, records: Records, *, max_bytes: int = MAX_BYTES, clock: Clock = now, room: Room | None = None
    ) -> None:
        """:param max_bytes: of versions that are kept in memory.
        :param room: for what is being read; None: as much as usual.
        """
        self._records = records
        self._table = records.table
        self._room = room or Room()
        self._candidates = Candidates(records, max_bytes=max_bytes, clock=clock, room=self._room)

    def models(
        self, tenant: str, *, where: str | None, order_by: Sequence[str], limit: int, token: str | None
    ) -> ModelPage:
        """Registered models.

        :raises Problem: 400 for a filter, order or token that cannot be read, and where too many come into question;
            429 where other searches of the tenant hold too much, 503 where those of others do.
        """
        condition = filters.parse(where, filters.MODEL_ATTRIBUTES)
        orders = ordering.parse(order_by, keys=ordering.MODEL_KEYS, ties=ordering.MODEL_TIES)
        position = _read_token(token)
        by_name = orders[0].field == "name"
        found = self._named(
            tenant,
            condition,
            descending=by_name and orders[0].descending,
            after=position.after if by_name else None,
        )
        with self._room.share(tenant) as share:
            if not by_name:
                found = ordering.in_order(list(_held(found, share)), orders, _MODEL_KEYS)
            matching = ((name, document) for name, document in found if self._holds(tenant, condition, document))
            beyond = islice(matching, position.offset, None)
            rows, more = pages.taken(beyond, limit=limit, size=lambda row: len(row[1]))
        models = self._with_latest(tenant, [model_in(document) for _, document in rows])
        shown = list(pages.fitting(models, pages.size_of_model))
        next_position = _Position(offset=position.offset + len(shown))
        if by_name:
            next_position = _Position(after=shown[-1][0].name) if shown else _Position()
        more = more or len(shown) < len(rows)
        return ModelPage(models=shown, next_token=_token(next_position) if more else None)

    def versions(
        self, tenant: str, *, where: str | None, order_by: Sequence[str], limit: int, token: str | None
    ) -> VersionPage:
        """Versions of models.

        :raises Problem: 400 for a filter, order or token that cannot be read, and where too many come into question;
            429 where other searches of the tenant hold too much, 503 where those of others do.
        """
        condition = filters.parse(where, filters.VERSION_ATTRIBUTES)
        chosen = order_by or ordering.VERSION_DEFAULT
        orders = ordering.parse(chosen, keys=ordering.VERSION_KEYS, ties=ordering.VERSION_TIES, noun="attribute")
        position = _read_token(token)
        with self._room.share(tenant) as share:
            matching = self._candidates.matching(tenant, condition, orders, share)
            beyond = islice(matching, position.offset, None)
            rows, more = pages.taken(beyond, limit=limit, size=lambda row: len(row.document))
        found = (row.in_full() for row in rows)
        whole = (VersionOf(model=of.model, version=self._records.all_tags(tenant, of.version)) for of in found)
        shown = list(pages.fitting(whole, pages.size_of_version))
        more = more or len(shown) < len(rows)
        next_token = _token(_Position(offset=position.offset + len(shown))) if more else None
        return VersionPage(versions=shown, next_token=next_token)

    def _holds(self, tenant: str, condition: Filter, document: str) -> bool:
        """Whether conditions on all but names, and the rule on prompts, hold for a model."""
        told = condition.beyond("name")
        if not told.comparisons and PROMPT_TAG not in document:
            return True
        found = glances.told(document)
        if found.asks(told):
            found.tags = self._records.all_tags(tenant, model_in(document)).tags
        return (told.prompts or found.tags.get(PROMPT_TAG) != "true") and found.holds(told)

    def _named(self, tenant: str, condition: Filter, *, descending: bool, after: str | None) -> Iterator[_Named]:
        """Models whose names are as the filter says, in the order of their names (as UTF-8), beyond ``after``."""
        accepted = condition.about("name").accepts()
        names = condition.listed("name")
        if names is not None:
            beyond = sorted(
                (name for name in names if keys.fits(name) and accepted(name)), key=str.encode, reverse=descending
            )
            if after is not None:
                edge = after.encode()
                beyond = [n for n in beyond if (n.encode() < edge if descending else n.encode() > edge)]
            return self._listed(tenant, beyond)
        prefix = name_prefix(condition)
        if after is not None and not after.startswith(prefix):  # the filter changed between two pages
            if (after.encode() > prefix.encode()) is not descending:
                return iter(())
            after = None
        only = marks.wanted(condition)
        return self._table.texts(
            keys.models(tenant),
            DOCUMENT,
            prefix=prefix,
            only=only,
            named=accepted,
            descending=descending,
            after=after,
        )

    def _listed(self, tenant: str, names: Sequence[str]) -> Iterator[_Named]:
        """Models of these names, those that are there, some at a time."""
        for some in batched(names, BATCH_GET):
            found = self._table.get_many([keys.model(tenant, name) for name in some])
            items = ((name, found.get(sort_of(keys.model(tenant, name)))) for name in some)
            yield from [(name, item[DOCUMENT]) for name, item in items if item is not None]

    def _with_latest(self, tenant: str, models: Sequence[Model]) -> Iterator[tuple[Model, list[Version]]]:
        """With all tags and versions, which are read as they are asked for."""
        for group in _together(models):
            wanted = {
                model.id: [keys.version(tenant, model.id, number) for number in sorted(model.latest.values())]
                for model in group
            }
            items = self._table.get_many(list(chain.from_iterable(wanted.values())))
            for model in group:
                there = (items.get(sort_of(key)) for key in wanted[model.id])
                latest = [self._records.all_tags(tenant, version_of(item)) for item in there if item is not None]
                yield self._records.all_tags(tenant, model), latest


def _held(found: Iterable[_Named], share: Share) -> Iterator[_Named]:
    for named in found:
        share.hold(named[1:])
        yield named


def _together(models: Iterable[Model]) -> Iterator[list[Model]]:
    """Models whose latest versions are read in one call."""
    group: list[Model] = []
    versions = 0
    for model in models:
        versions += len(model.latest)
        if versions > BATCH_GET and group:
            yield group
            group, versions = [], len(model.latest)
        group.append(model)
    if group:
        yield group


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
    if (
        not 0 <= position.offset <= _MAX_OFFSET
        or (position.after is None and position.offset == 0)
        or position.after == ""
    ):
        raise invalid_parameter(f"Invalid page token, parsed value={decoded!r}", field="page_token")
    return position
