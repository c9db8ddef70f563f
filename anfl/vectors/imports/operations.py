"""The calls about imports: their routes, what they take and answer. Not for direct events."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anfl.vectors.imports.imports import Imports
from anfl.vectors.imports.requests import Import, ImportId, ImportList, ImportPage, NewImport, Uploads
from anfl.vectors.operations import Call, Outcome
from anfl.vectors.refusals import Refusal

_IMPORTS = "/v1/imports"
_IMPORT = f"{_IMPORTS}/{{id}}"


@dataclass(frozen=True, kw_only=True)
class ImportCall(Call):
    """One thing that callers can do about imports."""

    run: Callable[[Imports, str, str, Any], Outcome]
    """``(imports, tenant, name, request)``; ``name`` is empty where the call names no collection."""


_ASKED = frozenset({Refusal.CATALOGUE_UNAVAILABLE, Refusal.INVALID_REQUEST})
_ONE = _ASKED | {Refusal.IMPORT_NOT_FOUND}
_OPEN = _ONE | {
    Refusal.IMPORT_ENDED,
    Refusal.IMPORT_EXPIRED,
    Refusal.STORAGE_UNAVAILABLE,
    Refusal.WRITTEN_ELSEWHERE,
}
_STARTED = _OPEN | {Refusal.UPLOAD_INCOMPLETE, Refusal.QUEUE_UNAVAILABLE}

IMPORT_CALLS: tuple[ImportCall, ...] = (
    ImportCall(
        name="create_import",
        method="POST",
        path="/v1/collections/{name}/imports",
        summary="Begin an import of any number of rows, and learn where to put its files",
        takes=NewImport,
        answers={201: (Uploads,)},
        refusals=_ASKED
        | {
            Refusal.MALFORMED_JSON,
            Refusal.TOO_LARGE,
            Refusal.COLLECTION_NOT_FOUND,
            Refusal.STORAGE_UNAVAILABLE,
            Refusal.WRITTEN_ELSEWHERE,
        },
        run=lambda imports, tenant, name, request: Outcome(imports.create(tenant, name, request), 201),
    ),
    ImportCall(
        name="list_imports",
        method="GET",
        path=_IMPORTS,
        summary="The tenant's imports, the newest first",
        takes=ImportPage,
        answers={200: (ImportList,)},
        refusals=_ASKED,
        names_collection=False,
        run=lambda imports, tenant, _, request: Outcome(imports.page(tenant, request)),
    ),
    ImportCall(
        name="show_import",
        method="GET",
        path=_IMPORT,
        summary="How far an import is, and what was wrong with the first rows that were refused",
        takes=ImportId,
        answers={200: (Import,)},
        refusals=_ONE,
        names_collection=False,
        run=lambda imports, tenant, _, request: Outcome(imports.show(tenant, request.id)),
    ),
    ImportCall(
        name="missing_uploads",
        method="POST",
        path=f"{_IMPORT}/uploads",
        summary="What is missing of an import's files, and new addresses to put it",
        takes=ImportId,
        answers={200: (Uploads,)},
        refusals=_OPEN,
        names_collection=False,
        run=lambda imports, tenant, _, request: Outcome(imports.uploads(tenant, request.id)),
    ),
    ImportCall(
        name="start_import",
        method="POST",
        path=f"{_IMPORT}/start",
        summary="Have stored what was uploaded; no effect where that has begun",
        takes=ImportId,
        answers={200: (Import,)},
        refusals=_STARTED,
        names_collection=False,
        run=lambda imports, tenant, _, request: Outcome(imports.start(tenant, request.id)),
    ),
    ImportCall(
        name="redrive_import",
        method="POST",
        path=f"{_IMPORT}/redrive",
        summary="Try what is not done of an import once more",
        takes=ImportId,
        answers={200: (Import,)},
        refusals=_STARTED,
        names_collection=False,
        run=lambda imports, tenant, _, request: Outcome(imports.redrive(tenant, request.id)),
    ),
    ImportCall(
        name="cancel_import",
        method="POST",
        path=f"{_IMPORT}/cancel",
        summary="Store nothing more of an import; what is stored stays",
        takes=ImportId,
        answers={200: (Import,)},
        refusals=_ONE | {Refusal.IMPORT_ENDED},
        names_collection=False,
        run=lambda imports, tenant, _, request: Outcome(imports.cancel(tenant, request.id)),
    ),
)
