"""The calls about imports, as data, and what is read of files to be imported; nothing here waits for anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from anfl.client.calls import Call, answer, path_of
from anfl.client.rows import present
from anfl.vectors.imports.model import Format
from anfl.vectors.imports.requests import Import, ImportList, Part, Uploads

IMPORTS = "/v1/imports"
FIRST_SECONDS, LONGEST_SECONDS = 0.2, 5.0
"""Between two looks at an import that runs."""
_FORMATS = {".jsonl": Format.JSONL, ".ndjson": Format.JSONL, ".npy": Format.NPY, ".parquet": Format.PARQUET}


class ImportFailedError(Exception):
    """An import did not come to its end; ``failed`` is how far it came, and why."""

    def __init__(self, failed: Import) -> None:
        reason = failed.failure
        detail = "" if reason is None else f": {reason.code}: {reason.detail}"
        where = "" if reason is None or reason.field is None else f" (field {reason.field})"
        row = "" if reason is None or reason.row is None else f" (row {reason.row})"
        final = "" if reason is None or not reason.final else ": it has to be put right, and imported anew"
        super().__init__(f"Import {failed.id} is {failed.state}{detail}{where}{row}{final}")
        self.failed = failed


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file to be imported; ``size`` in bytes."""

    path: Path
    format: Format
    size: int

    @classmethod
    def of(cls, path: Path) -> "Source":
        """The file at ``path``, whose name tells its format.

        :raises ValueError: it does not, or there is nothing in it.
        :raises OSError: there is none.
        """
        format_ = _FORMATS.get(path.suffix.lower())
        if format_ is None:
            raise ValueError(f"{path}: the name of a file to import ends in {', '.join(_FORMATS)}")
        size = path.stat().st_size
        if not size:
            raise ValueError(f"{path} is empty")
        return cls(path=path, format=format_, size=size)

    def read(self, part: Part) -> bytes:
        """The bytes of one part.

        :raises ValueError: the file is shorter than it was.
        :raises OSError: it cannot be read.
        """
        with self.path.open("rb") as file:
            file.seek(part.offset)
            data = file.read(part.bytes)
        if len(data) != part.bytes:
            raise ValueError(f"{self.path} has changed since the import began: begin a new one")
        return data


def sources_for(uploads: Uploads, paths: Sequence[Path]) -> list[Source]:
    """The files of ``uploads``, in its order.

    :raises ValueError: they are others.
    :raises OSError: one is not there.
    """
    found = {source.format: source for source in map(Source.of, paths)}
    for file in uploads.files:
        source = found.get(file.format)
        if source is None or source.size != file.bytes:
            raise ValueError(f"import {uploads.id} is of another {file.format} file, of {file.bytes} bytes")
    if len(found) != len(uploads.files) or len(paths) != len(found):
        raise ValueError(f"import {uploads.id} takes {len(uploads.files)} files")
    return [found[file.format] for file in uploads.files]


def sent_bytes(uploads: Uploads) -> int:
    """How much of the files is there."""
    return sum(file.bytes - sum(part.bytes for part in file.missing) for file in uploads.files)


def begin(collection: str, sources: Sequence[Source]) -> Call[Uploads]:
    """A new import; one that is never started goes by itself."""
    body = {"files": [{"format": source.format, "bytes": source.size} for source in sources]}
    return Call(method="POST", path=f"{path_of(collection)}/imports", body=body, read=answer(Uploads))


def missing(import_id: str) -> Call[Uploads]:
    """What is to be sent."""
    return Call(method="POST", path=path_of_import(import_id, "uploads"), read=answer(Uploads))


def start(import_id: str) -> Call[Import]:
    """Have it stored."""
    return Call(method="POST", path=path_of_import(import_id, "start"), read=answer(Import))


def show(import_id: str) -> Call[Import]:
    """How far it is."""
    return Call(method="GET", path=path_of_import(import_id), read=answer(Import))


def cancel(import_id: str) -> Call[Import]:
    """Store nothing more."""
    return Call(method="POST", path=path_of_import(import_id, "cancel"), read=answer(Import))


def redrive(import_id: str) -> Call[Import]:
    """Try what is not done once more."""
    return Call(method="POST", path=path_of_import(import_id, "redrive"), read=answer(Import))


def page(collection: str | None, cursor: str | None) -> Call[ImportList]:
    """Some imports."""
    params = present({"collection": collection, "cursor": cursor})
    return Call(method="GET", path=IMPORTS, params=params, read=answer(ImportList))


def path_of_import(import_id: str, call: str | None = None) -> str:
    """The API's path of an import; with ``call``, of what can be done about it."""
    segment = quote(import_id, safe="", errors="replace")
    return f"{IMPORTS}/{segment}" + ("" if call is None else f"/{call}")
