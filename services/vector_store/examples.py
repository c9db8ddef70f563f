"""One call after another, as a caller may make them, and what they answer. A test makes them."""

from typing import Any

import msgspec

from anfl.vectors.imports.model import IN_LINE, IN_LINE_DETAIL

_COLOURS = {
    "name": "colours",
    "dimension": 3,
    "metric": "l2",
    "index": {"m": 16, "ef_construction": 200, "ef_search": 64},
    "fields": {"dark": "boolean"},
    "engine": "hnsw",
    "created_at": 1795487663.658,
    "home": "us-east-1",
}
_CHANGED = _COLOURS | {"index": {"m": 16, "ef_construction": 200, "ef_search": 128}}
_IMPORT_ID = "019c4bd2f0a8f3d1c2b3a4958677f0e1"
_IMPORT = {
    "id": _IMPORT_ID,
    "collection": "colours",
    "state": "RUNNING",
    "formats": ["npy", "jsonl"],
    "bytes": 228,
    "created_at": 1795487663.912,
    "started_at": 1795487664.002,
    "chunks_done": 0,
    "stored": 0,
    "refused": 0,
}
_STARTED = _IMPORT | {"waiting": {"code": IN_LINE, "detail": IN_LINE_DETAIL}}
_MONDAY = {"name": "monday", "sequence": "1.3", "rows": 1, "bytes": 1027, "created_at": 1795487664.112}


PHOTOS = {"name": "photos", "dimension": 2, "metric": "l2", "engine": "dynamodb"}
"""A collection of the engine ``dynamodb``, where deletions by filter are jobs."""
_PHOTOS = PHOTOS | {"fields": {}, "created_at": 1795487664.187, "engine_class": "small"}
CLEANING = {"filter": {"blurred": True}, "request_id": "cleanup-2"}
"""One, whose id follows from its ``request_id``."""


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A call of one operation: its body or query string, and by status the answer."""

    collection: str = "colours"
    request: dict[str, Any] | None = None
    answers: dict[int, Any]


def _part(place: int, size: int) -> dict[str, Any]:
    url = f"https://anfl-prod-vectors-111122223333-eu-west-1.s3.eu-west-1.amazonaws.com/_imports/acme/{_IMPORT_ID}/{place}"
    return {"number": 1, "offset": 0, "bytes": size, "url": f"{url}?uploadId=…&partNumber=1&X-Amz-Signature=…"}


EXAMPLES: dict[str, Example] = {
    "create_collection": Example(
        request={"name": "colours", "dimension": 3, "metric": "l2", "fields": {"dark": "boolean"}},
        answers={201: _COLOURS, 200: _COLOURS},
    ),
    "set_alias": Example(
        request={"alias": "palette", "collection": "colours"},
        answers={200: {"alias": "palette", "collection": "colours"}},
    ),
    "list_aliases": Example(
        request={"limit": 20}, answers={200: {"aliases": [{"alias": "palette", "collection": "colours"}]}}
    ),
    "delete_alias": Example(request={"alias": "palette"}, answers={200: {"deleted": "palette"}}),
    "list_collections": Example(request={"limit": 20}, answers={200: {"collections": [_COLOURS]}}),
    "describe_collection": Example(answers={200: _COLOURS}),
    "update_collection": Example(
        request={"index": {"ef_search": 128}},
        answers={200: _CHANGED},
    ),
    "upsert": Example(
        request={
            "vectors": [
                {"id": "navy", "values": [0, 0, 128], "metadata": {"dark": True}},
                {"id": "sky", "values": {"f32": "AAAHQwAATkMAAGtD"}, "metadata": {"dark": False}},
            ],
            "request_id": "import-7/1",
        },
        answers={200: {"sequence": "1.1", "upserted": 2}},
    ),
    "patch": Example(
        request={"vectors": [{"id": "sky", "metadata": {"season": "summer"}, "if_version": 1}]},
        answers={200: {"sequence": "1.2", "patched": 1}},
    ),
    "fetch": Example(
        request={"ids": ["navy"], "consistency": "strong"},
        answers={
            200: {
                "vectors": [{"id": "navy", "version": 1, "values": [0.0, 0.0, 128.0], "metadata": {"dark": True}}],
                "sequence": "1.2",
            }
        },
    ),
    "scroll": Example(
        request={"limit": 1, "filter": {"dark": False}, "include": ["values"], "values_format": "f32"},
        answers={
            200: {"vectors": [{"id": "sky", "version": 2, "values": {"f32": "AAAHQwAATkMAAGtD"}}], "sequence": "1.2"}
        },
    ),
    "query": Example(
        request={"vector": [0, 0, 255], "k": 1, "filter": {"dark": True}, "include": ["metadata"]},
        answers={200: {"matches": [{"id": "navy", "distance": 127.0, "metadata": {"dark": True}}], "sequence": "1.2"}},
    ),
    "count": Example(request={"filter": {"season": "summer"}}, answers={200: {"count": 1, "sequence": "1.2"}}),
    "stats": Example(
        answers={
            200: {
                "rows": 2,
                "expired": 0,
                "unmerged_rows": 2,
                "segments": 0,
                "private_bytes": 4504,
                "mapped_bytes": 0,
                "sequence": "1.2",
            }
        }
    ),
    "warm": Example(answers={200: {"status": "loaded", "sequence": "1.2"}, 202: {"status": "loading"}}),
    "export": Example(
        request={"include": ["metadata"]},
        answers={
            200: '{"id":"navy","version":1,"metadata":{"dark":true}}\n'
            '{"id":"sky","version":2,"metadata":{"dark":false,"season":"summer"}}\n'
        },
    ),
    "create_import": Example(
        request={"files": [{"format": "npy", "bytes": 152}, {"format": "jsonl", "bytes": 76}]},
        answers={
            201: {
                "id": _IMPORT_ID,
                "collection": "colours",
                "files": [
                    {"format": kind, "bytes": size, "missing": [_part(place, size)]}
                    for place, (kind, size) in enumerate((("npy", 152), ("jsonl", 76)))
                ],
                "expires_in": 3600,
            }
        },
    ),
    "missing_uploads": Example(
        request={"id": _IMPORT_ID},
        answers={
            200: {
                "id": _IMPORT_ID,
                "collection": "colours",
                "files": [
                    {"format": "npy", "bytes": 152, "missing": []},
                    {"format": "jsonl", "bytes": 76, "missing": []},
                ],
                "expires_in": 3600,
            }
        },
    ),
    "start_import": Example(request={"id": _IMPORT_ID}, answers={200: _STARTED}),
    "show_import": Example(request={"id": _IMPORT_ID}, answers={200: _STARTED}),
    "list_imports": Example(request={"collection": "colours"}, answers={200: {"imports": [_STARTED]}}),
    "redrive_import": Example(request={"id": _IMPORT_ID}, answers={200: _STARTED}),
    "cancel_import": Example(request={"id": _IMPORT_ID}, answers={200: _IMPORT | {"state": "CANCELLED"}}),
    "delete": Example(
        request={"ids": ["navy"], "request_id": "cleanup-1"}, answers={200: {"sequence": "1.3", "deleted": 1}}
    ),
    "show_deletion": Example(
        collection="photos",
        request={"id": "feba841691d5ef30be6f2db9f7f242a0"},
        answers={
            200: {
                "id": "feba841691d5ef30be6f2db9f7f242a0",
                "state": "RUNNING",
                "deleted": 0,
                "created_at": 1795487664.207,
            }
        },
    ),
    "move_collection": Example(
        collection="pictures",
        request={"engine": "hnsw"},
        answers={
            202: {
                "collection": "photos",
                "to": "photos-hnsw",
                "engine": "hnsw",
                "stage": "copying",
                "passes": 1,
                "wait": 0.0,
            }
        },
    ),
    "undo_move": Example(collection="pictures", answers={200: _PHOTOS}),
    "create_snapshot": Example(request={"snapshot": "monday"}, answers={201: _MONDAY}),
    "list_snapshots": Example(request={"limit": 20}, answers={200: {"snapshots": [_MONDAY]}}),
    "restore": Example(
        request={"snapshot": "monday", "into": "colours-of-monday"},
        answers={201: _CHANGED | {"name": "colours-of-monday"}},
    ),
    "delete_snapshot": Example(request={"snapshot": "monday"}, answers={200: {"deleted": "monday"}}),
    "delete_collection": Example(answers={200: {"deleted": "colours"}}),
}
"""By name of the operation, in an order in which they work."""
