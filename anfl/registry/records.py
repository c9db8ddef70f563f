"""Reading and writing models and versions as items: what models, versions, search and verdicts share."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import TypeVar

import msgspec

from anfl.problems import Problem
from anfl.registry import audit, keys, rules
from anfl.registry.audit import Change, Entry, Head
from anfl.registry.clock import now
from anfl.registry.entities import PROMPT_TAG, Model, Stage, Version, VersionOf
from anfl.registry.errors import invalid_parameter, model_not_found, version_not_found
from anfl.registry.marks import DOCUMENT, MARKS, marks
from anfl.registry.table import ABSENT, Action, Condition, Delete, Item, LostRaceError, Put, Table, until_won
from anfl.registry.tags import check_spilled, fits
from anfl.registry.turns import Turns
from anfl.resources import PARTITION_KEY, SORT_KEY

_REMEMBERED = 10_000
_HINTED_CHARACTERS = 2000
"""Of a model's aliases that are remembered: those of ten thousand models stay in memory."""
_PAUSES = (0.1, 0.3, 0.6, 1.0)
"""Seconds between looks for what another region has written: its items come one by one, and within a second mostly."""
MAX_DOCUMENT_BYTES = 385_000
"""Of a record as JSON, which spells a line feed with two bytes and other control characters with six: an item (400 KB)
holds its key and marks as well."""
_ARRIVED_MILLISECONDS = 10_000
"""When all items of a change have arrived."""
REJOINED_BY = "registry"
"""Who lets what two regions have changed go on, in the audit."""
_log = logging.getLogger(__name__)
_MODEL, _VERSION = msgspec.json.Decoder(Model), msgspec.json.Decoder(Version)
T = TypeVar("T")
Tagged = TypeVar("Tagged", Model, Version)


class Records:
    """Typed access to one table's models and versions."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._hints: OrderedDict[tuple[str, str], Model] = OrderedDict()
        self._lock = threading.Lock()
        self._turns = Turns()

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
            self._hints[tenant, name] = _hint_of(model)
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
        """A version by its model's id, as messages name it; None where either is gone.

        :param name: the model's name when the message was sent: it may have another one now.
        """
        record = keys.version(tenant, model_id, number)
        found = self._found_by_id(tenant, name, model_id, beside=[record])
        if found is None or (version := found[1].get(sort_of(record))) is None:
            return None
        return VersionOf(model=model_of(found[0]), version=version_of(version))

    def models_by_id(self, tenant: str, names: Mapping[str, str]) -> list[Item]:
        """Records of models by id, those that are there: one batch, and one call for each that was renamed.

        :param names: id → a name that the model had: it may have another one now.
        """
        moved = {model_id: keys.renamed(tenant, model_id) for model_id in names}
        found = self.table.get_many([*(keys.model(tenant, name) for name in names.values()), *moved.values()])
        records = {item["id"]: item for item in found.values() if "id" in item}
        for model_id, pointer in moved.items():
            if model_id not in records and (now := found.get(sort_of(pointer))) is not None:
                again = self._found_by_id(tenant, now["name"], model_id, beside=[])
                if again is not None:
                    records[model_id] = again[0]
        return [records[model_id] for model_id in names if model_id in records]

    def _found_by_id(
        self, tenant: str, name: str, model_id: str, *, beside: Sequence[keys.Key]
    ) -> tuple[Item, dict[tuple[str, str], Item]] | None:
        """A model's record and what was read in the same call: what stands under keys ``beside`` it."""
        renamed = keys.renamed(tenant, model_id)
        while True:
            named = keys.model(tenant, name)
            found = self.table.get_many([*beside, named, renamed])
            model = found.get(sort_of(named))
            if model is not None and model["id"] == model_id:
                return model, found
            now = self.table.get(renamed)  # again: a rename may have come between reading the name and the record
            if now is None or (now == found.get(sort_of(renamed)) and now["name"] == name):
                return None
            name = now["name"]

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
        model, versions, is_whole = self._look(tenant, name, wanted)
        for pause in (0.0, *_PAUSES):
            # Where the record names a version that is gone, that was deleted between two reads, so the record is old
            # too; or another region has made it, and it has yet to arrive, or deleted it while it was named here.
            if is_whole or (pause and has_arrived(model.changed_at)):
                break
            time.sleep(pause)
            model, versions, is_whole = self._look(tenant, name, wanted)
        return model, versions

    def _look(self, tenant: str, name: str, wanted: Callable[[Model], list[int]]) -> tuple[Model, list[Version], bool]:
        """As `_together`; and whether all are there of which the record says so."""
        record = keys.model(tenant, name)
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
        promised = {*model.latest.values(), *model.aliases.values()}
        is_whole = all(item is not None or number not in promised for number, item in zip(numbers, items, strict=True))
        return model, [version_of(item) for item in items if item is not None], is_whole

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

    def changed(self, tenant: str, model: Model, *, before: Model | None, change: Change) -> list[Action]:
        """What writes ``model`` and the entry about it, provided that ``before`` (None: nothing) still stands there."""
        entry = audit.entry(model.id, head_of(before), change)
        written = msgspec.structs.replace(model, revision=entry.sequence, audited=entry.hash, changed_at=change.at)
        item = item_of(written)
        moved = before is None or before.name != model.name
        condition = unchanged(before) if before is not None and not moved else ABSENT
        actions: list[Action] = [
            Put(key=keys.model(tenant, model.name), item=item, condition=condition),
            put_entry(tenant, entry),
        ]
        if moved:
            bearer = {"name": model.name, "id": model.id, "since": change.at}
            actions.append(Put(key=keys.bearer(tenant, model.name, model.id), item=bearer))
        if moved and before is not None:
            pointer = {"name": model.name, "revision": entry.sequence}
            actions.append(Delete(key=keys.model(tenant, before.name), condition=unchanged(before)))
            actions.append(Put(key=keys.renamed(tenant, model.id), item=pointer))
        return actions

    def deleted(self, tenant: str, before: Model, *, change: Change) -> list[Action]:
        """What removes ``before`` and ends its audit, provided that it still stands there."""
        entry = audit.entry(before.id, head_of(before), change)
        return [Delete(key=keys.model(tenant, before.name), condition=unchanged(before)), put_entry(tenant, entry)]

    def in_turn(self, tenant: str, name: str, operation: Callable[[], T]) -> T:
        """`until_won`; threads of one process take turns on a model. Processes race, and the table decides."""
        with self._turns.of(tenant, name):
            return until_won(operation, stuck=lambda: self._rejoin(tenant, name))

    def _rejoin(self, tenant: str, name: str) -> None:
        """Let a model go on that two regions have changed at the same time: of each item the later stayed, so its
        record may know neither the last entry of its audit nor its last version, and every change would meet those.
        """
        item = self.table.get(keys.model(tenant, name))
        if item is None:
            return
        model_id = item["id"]
        end = last_entry(self.table, tenant, model_id)
        highest = self._last(keys.versions(tenant), keys.versions_of(model_id))
        latest = {stage: self._last(keys.belongings(tenant, model_id), keys.members(stage)) for stage in Stage}
        model = self.model(tenant, name)  # after those, so that what is committed here is in it
        if model.id != model_id:
            return
        head = head_of(model)
        if end is not None and end.sequence > head.sequence and has_arrived(end.at):
            head = Head(sequence=end.sequence, hash=end.hash)
        last_version = model.last_version
        if highest is not None and (version := version_of(highest)).number > last_version:
            last_version = version.number if has_arrived(version.created_at) else last_version
        if (head, last_version) == (head_of(model), model.last_version):
            return
        after = {"last_version": last_version}
        change = Change(
            by=REJOINED_BY, at=now(), action="model.rejoined", before={"last_version": model.last_version}, after=after
        )
        entry = audit.entry(model.id, head, change)
        joined = msgspec.structs.replace(
            model,
            last_version=last_version,
            latest={stage: _number_of(item) for stage, item in latest.items() if item is not None},
            revision=entry.sequence,
            audited=entry.hash,
            changed_at=change.at,
        )
        with suppress(LostRaceError):
            self.table.write(
                Put(key=keys.model(tenant, model.name), item=item_of(joined), condition=unchanged(model)),
                put_entry(tenant, entry),
            )
            _log.warning("two regions have changed a model at the same time", extra={"model": name, "id": model.id})

    def _last(self, partition: str, prefix: str) -> Item | None:
        return next(self.table.query(partition, prefix=prefix, descending=True, limit=1), None)

    def tag_value(self, tenant: str, record: Model | Version, key: str) -> str | None:
        """The value of a tag, wherever it stands (one more read for a large one); None where there is none."""
        if key not in record.spilled:
            return record.tags.get(key)
        model_id, number = _owner(record)
        item = self.table.get(keys.tag(tenant, model_id, number, key))
        return None if item is None else str(item["value"])

    def is_prompt(self, tenant: str, document: str) -> bool:
        """Whether a version's document says that it is one of a prompt."""
        return PROMPT_TAG in document and self.tag_value(tenant, version_in(document), PROMPT_TAG) == "true"

    def put_version(self, tenant: str, version: Version, *, before: Version | None) -> Put:
        """Write ``version`` as its next revision, beside what `changed` gives."""
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
    return model_in(item[DOCUMENT])


def version_of(item: Item) -> Version:
    """The version in an item."""
    return version_in(item[DOCUMENT])


def model_in(document: str) -> Model:
    """A model as its document tells it."""
    return _MODEL.decode(document)


def version_in(document: str) -> Version:
    """A version as its document tells it."""
    return _VERSION.decode(document)


def item_of(record: Model | Version) -> Item:
    """The attributes of a record: one document, as botocore takes ten times as long for as many attributes as members.

    What conditions of writes and of searches are about stands beside it.

    :raises Problem: 400 for more than an item holds.
    """
    about = {"id": record.id} if isinstance(record, Model) else {}
    document = msgspec.json.encode(record)
    if len(document) > MAX_DOCUMENT_BYTES:
        message = f"Description, tags and aliases take {len(document)} bytes as JSON, together with what else there is;"
        raise invalid_parameter(f"{message} at most {MAX_DOCUMENT_BYTES} fit.", field="description")
    return about | {"revision": record.revision, MARKS: marks(record), DOCUMENT: document.decode()}


def head_of(model: Model | None) -> Head:
    """Where a model's audit ends."""
    return Head() if model is None else Head(sequence=model.revision, hash=model.audited)


def last_entry(table: Table, tenant: str, chain: str) -> Entry | None:
    """The last entry of a chain, whatever its head says; None where it cannot be read."""
    item = next(table.query(keys.chain(tenant, chain), descending=True, limit=1), None)
    try:
        return None if item is None else entry_of(item)
    except (msgspec.DecodeError, KeyError, TypeError):
        return None


def entry_of(item: Item) -> Entry:
    """The entry of a chain in an item."""
    return msgspec.structs.replace(msgspec.json.decode(item["entry"], type=Entry), hash=item["hash"])


def has_arrived(moment: int) -> bool:
    """Whether all items of a change have come from whichever region made it."""
    return now() - moment >= _ARRIVED_MILLISECONDS


def put_entry(tenant: str, entry: Entry) -> Put:
    """What appends an entry to its chain."""
    item = {"entry": audit.body(entry).decode(), "hash": entry.hash}
    return Put(key=keys.entry(tenant, entry.chain, entry.sequence), item=item, condition=ABSENT)


def _hint_of(model: Model) -> Model:
    """What tells which versions a request will need, without what may be large."""
    aliases = model.aliases if sum(map(len, model.aliases)) <= _HINTED_CHARACTERS else {}
    return msgspec.structs.replace(model, description=None, tags={}, spilled=frozenset(), aliases=aliases)


def _number_of(member: Item) -> int:
    return int(member[SORT_KEY].rpartition("#")[2])


def _with(record: Tagged, *, tags: dict[str, str], spilled: frozenset[str]) -> Tagged:
    return msgspec.structs.replace(record, tags=tags, spilled=spilled)


def _owner(record: Model | Version) -> tuple[str, int | None]:
    return (record.id, None) if isinstance(record, Model) else (record.model_id, record.number)
