"""Types that are declared for fields of the metadata: what changes them, and what may not be done meanwhile."""

from collections.abc import Mapping, Sequence

import msgspec

from anfl.problems import Problem, conflict
from anfl.vectors.changes import Change
from anfl.vectors.filters import Filter, compile_filter, fields_of
from anfl.vectors.model import Collection, FieldType, PendingField
from anfl.vectors.requests import CollectionPatch, DeleteRows, NewRow, PatchRow, check_metadata


def patched(before: Collection, patch: CollectionPatch) -> Collection:
    """``before`` with what its owner wants changed; what it has not declared so far is pending."""
    settings, pending = before.settings, before.pending
    if patch.index is not None:
        index = msgspec.structs.replace(settings.index, ef_search=patch.index.ef_search)
        settings = msgspec.structs.replace(settings, index=index)
    if patch.fields is not None:
        kept = {name: declared for name, declared in patch.fields.items() if settings.fields.get(name) == declared}
        pending = {
            name: _pending(before, name, declared) for name, declared in patch.fields.items() if name not in kept
        }
        settings = msgspec.structs.replace(settings, fields=kept)
    after = msgspec.structs.replace(before, settings=settings, pending=pending)
    return before if after == before else msgspec.structs.replace(after, revision=before.revision + 1)


def settled(found: Collection, asked: Mapping[str, PendingField], counts: Mapping[str, int]) -> Collection:
    """``found`` with what became of the fields in ``asked``, of which ``counts`` says how many rows contradict them.

    What has been declared otherwise meanwhile stays as it is.
    """
    known = {name: count for name, count in counts.items() if found.pending.get(name) == asked[name]}
    fields = found.settings.fields | {name: asked[name].type for name, count in known.items() if not count}
    pending = {
        name: msgspec.structs.replace(field, contradicting=known[name]) if name in known else field
        for name, field in found.pending.items()
        if known.get(name) != 0
    }
    settings = msgspec.structs.replace(found.settings, fields=fields)
    return msgspec.structs.replace(found, settings=settings, pending=pending)


def check_ready(wanted: Filter, collection: Collection) -> None:
    """Refuse a filter that names a field which cannot be relied on yet.

    :raises Problem: 409 ``field_not_ready``.
    """
    if not collection.pending:
        return
    for name in sorted(fields_of(wanted.root) & collection.building.keys()):
        detail = f"The field {name} has just been declared and its rows are being looked through; try again."
        raise Problem(409, "field_not_ready", detail, field=f"filter.{name}", retry_after=1)


def check_change(change: Change, collection: Collection, *, prepared_for: Collection) -> None:
    """Look once more at a change that was checked by the settings of ``prepared_for``.

    :raises Problem: 400, a row does not fit what has been declared since; 409 ``field_not_ready``.
    """
    if isinstance(change, DeleteRows):
        if change.filter is not None:
            check_ready(compile_filter(change.filter), collection)
    elif collection is not prepared_for and collection.enforced != prepared_for.enforced:
        rows: Sequence[NewRow | PatchRow] = change.vectors
        for index, row in enumerate(rows):
            check_metadata(row.metadata, collection, field=f"vectors[{index}].metadata")


def contradicted(name: str, declared: FieldType, count: int) -> Problem:
    """409: rows hold something else than is declared."""
    detail = f"{count} rows hold another value than {declared} in {name}; change or delete them first."
    problem = conflict(detail, code="field_contradicted")
    problem.field = f"fields.{name}"
    return problem


def _pending(before: Collection, name: str, declared: FieldType) -> PendingField:
    """As it is already, or anew."""
    known = before.pending.get(name)
    if known is not None and known.is_building and known.type == declared:
        return known
    return PendingField(type=declared, revision=before.revision + 1)
