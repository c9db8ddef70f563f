"""Every problem code that the store answers with, once, for those who describe it to callers."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Meaning:
    """Of a code, for callers."""

    status: int
    text: str


class Refusal(StrEnum):
    """Codes of the vector store; stable, programs may match on them."""

    INVALID_REQUEST = "invalid_request"
    MALFORMED_JSON = "malformed_json"
    NO_ENGINE_CLASS = "no_engine_class"
    NOT_SUPPORTED_BY_ENGINE = "not_supported_by_engine"
    ANSWER_TOO_LARGE = "answer_too_large"
    COLLECTION_NOT_FOUND = "collection_not_found"
    ALIAS_NOT_FOUND = "alias_not_found"
    SNAPSHOT_NOT_FOUND = "snapshot_not_found"
    IMPORT_NOT_FOUND = "import_not_found"
    DELETION_NOT_FOUND = "deletion_not_found"
    ROW_NOT_FOUND = "row_not_found"
    COLLECTION_EXISTS = "collection_exists"
    ALIAS_EXISTS = "alias_exists"
    SNAPSHOT_EXISTS = "snapshot_exists"
    COLLECTION_CHANGED = "collection_changed"
    FIELD_CONTRADICTED = "field_contradicted"
    FIELD_NOT_READY = "field_not_ready"
    VERSION_CONFLICT = "version_conflict"
    REQUEST_ID_REUSED = "request_id_reused"
    UPLOAD_INCOMPLETE = "upload_incomplete"
    IMPORT_EXPIRED = "import_expired"
    IMPORT_ENDED = "import_ended"
    HISTORY_LOST = "history_lost"
    TOO_LARGE = "too_large"
    BATCH_NOT_ATOMIC = "batch_not_atomic"
    TOO_MANY_WRITES = "too_many_writes"
    BUILDER_BEHIND = "builder_behind"
    FILTER_TOO_SLOW = "filter_too_slow"
    CATALOGUE_UNAVAILABLE = "catalogue_unavailable"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    KEY_UNAVAILABLE = "key_unavailable"
    LOG_CORRUPT = "log_corrupt"
    LOG_GAP = "log_gap"
    SNAPSHOT_DAMAGED = "snapshot_damaged"
    QUEUE_UNAVAILABLE = "queue_unavailable"
    COLLECTION_LOADING = "collection_loading"
    POSITION_NOT_REACHED = "position_not_reached"
    NODE_LOST = "node_lost"
    ALIAS_NEEDED = "alias_needed"
    COLLECTION_FILLING = "collection_filling"
    COLLECTION_MOVED = "collection_moved"
    COLLECTION_MOVING = "collection_moving"
    MOVE_BUSY = "move_busy"
    WRITTEN_ELSEWHERE = "written_elsewhere"
    MOVE_REFUSED = "move_refused"
    MOVE_SWITCHED = "move_switched"
    MOVE_TARGET_LOST = "move_target_lost"
    MOVE_UNVERIFIED = "move_unverified"
    WRITES_PAUSED = "writes_paused"


MEANINGS: dict[Refusal, Meaning] = {
    Refusal.INVALID_REQUEST: Meaning(400, "The request is wrong; `field` names the offending input."),
    Refusal.MALFORMED_JSON: Meaning(400, "The body is no JSON."),
    Refusal.NO_ENGINE_CLASS: Meaning(
        400, "No class of the engine `dynamodb` has this dimension, metric and room for these fields; they are named."
    ),
    Refusal.NOT_SUPPORTED_BY_ENGINE: Meaning(
        400, "The collection's engine does not offer this; the detail says what does instead."
    ),
    Refusal.ANSWER_TOO_LARGE: Meaning(400, "The answer would be over 9 MiB: ask for fewer rows, or less of each."),
    Refusal.COLLECTION_NOT_FOUND: Meaning(404, "The tenant has no collection of this name."),
    Refusal.ALIAS_NOT_FOUND: Meaning(404, "The tenant has no alias of this name."),
    Refusal.SNAPSHOT_NOT_FOUND: Meaning(404, "The collection has no snapshot of this name."),
    Refusal.IMPORT_NOT_FOUND: Meaning(404, "The tenant has no import of this id; they are known for 90 days."),
    Refusal.DELETION_NOT_FOUND: Meaning(404, "The collection has no deletion of this id; they are known for a week."),
    Refusal.ROW_NOT_FOUND: Meaning(404, "The row to search around is not there."),
    Refusal.COLLECTION_EXISTS: Meaning(409, "A collection has the name, and other settings."),
    Refusal.ALIAS_EXISTS: Meaning(409, "An alias has the name."),
    Refusal.SNAPSHOT_EXISTS: Meaning(409, "A snapshot of the collection has the name."),
    Refusal.COLLECTION_CHANGED: Meaning(409, "Somebody else changed the collection at the same time; look again."),
    Refusal.FIELD_CONTRADICTED: Meaning(409, "Rows that are there contradict the declaration."),
    Refusal.FIELD_NOT_READY: Meaning(
        409, "The filter names a field that has just been declared, and whose rows are being looked through; try again."
    ),
    Refusal.VERSION_CONFLICT: Meaning(409, "A row has another version than `if_version` demands."),
    Refusal.REQUEST_ID_REUSED: Meaning(409, "The `request_id` was used for another request."),
    Refusal.UPLOAD_INCOMPLETE: Meaning(409, "A part of a file is missing; `field` names the file."),
    Refusal.IMPORT_EXPIRED: Meaning(409, "The files of the import are gone; they are kept for a week."),
    Refusal.IMPORT_ENDED: Meaning(409, "The import is done or cancelled, so that nothing can be changed of it."),
    Refusal.HISTORY_LOST: Meaning(409, "The position is of a history that a restore gave up."),
    Refusal.TOO_LARGE: Meaning(413, "Over a limit; `field` names what is, where it is not the body."),
    Refusal.BATCH_NOT_ATOMIC: Meaning(
        413, "More than the collection's engine changes together: send it in parts, or with `atomic` false."
    ),
    Refusal.TOO_MANY_WRITES: Meaning(429, "More is written to the collection than its log takes."),
    Refusal.BUILDER_BEHIND: Meaning(429, "More is written to the collection than is put into graphs."),
    Refusal.FILTER_TOO_SLOW: Meaning(
        429, "Comparing new rows with the filter takes more than 10 s; what was compared is remembered: ask again."
    ),
    Refusal.CATALOGUE_UNAVAILABLE: Meaning(503, "The catalogue does not answer."),
    Refusal.STORAGE_UNAVAILABLE: Meaning(
        503, "The log cannot be read or written; a write may or may not be committed."
    ),
    Refusal.KEY_UNAVAILABLE: Meaning(503, "The key of the collection's data cannot be had: Vault does not answer."),
    Refusal.LOG_CORRUPT: Meaning(503, "The collection's log is damaged and must be restored."),
    Refusal.LOG_GAP: Meaning(503, "An object of the collection's log is missing, or not here yet."),
    Refusal.SNAPSHOT_DAMAGED: Meaning(503, "The snapshot cannot be read as it was made."),
    Refusal.QUEUE_UNAVAILABLE: Meaning(503, "The queue of jobs does not answer."),
    Refusal.COLLECTION_LOADING: Meaning(503, "The collection is on its way into memory."),
    Refusal.POSITION_NOT_REACHED: Meaning(503, "The node has not come to `min_sequence` in time."),
    Refusal.NODE_LOST: Meaning(
        503, "The node that was to carry out a write went away; it may or may not be committed."
    ),
    Refusal.ALIAS_NEEDED: Meaning(409, "Only what an alias stands for can be moved, so that its callers go along."),
    Refusal.COLLECTION_FILLING: Meaning(409, "The collection is being filled by a move; nobody else may change it."),
    Refusal.COLLECTION_MOVED: Meaning(409, "The collection was moved; the detail says where to. It can still be read."),
    Refusal.COLLECTION_MOVING: Meaning(409, "The collection is being moved: finish that, or undo it, first."),
    Refusal.MOVE_BUSY: Meaning(409, "Another process carries out this move at present; try again."),
    Refusal.MOVE_REFUSED: Meaning(409, "A row of the collection cannot be held by the other engine; it is named."),
    Refusal.WRITTEN_ELSEWHERE: Meaning(
        409,
        "It is written in another region, `home`: ask there, at `endpoint` where the region has an address of its own.",
    ),
    Refusal.MOVE_SWITCHED: Meaning(409, "The move cannot be undone any more; move the other collection instead."),
    Refusal.MOVE_TARGET_LOST: Meaning(409, "The collection that was being filled was deleted; undo the move."),
    Refusal.MOVE_UNVERIFIED: Meaning(409, "The copy does not answer as the collection does; nothing was switched."),
    Refusal.WRITES_PAUSED: Meaning(503, "The collection is about to be switched to another engine; try again."),
}
