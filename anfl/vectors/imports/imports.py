"""Imports as their owners handle them: begun, uploaded, started, watched."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from anfl.problems import Problem, conflict, invalid
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.homes import check_home, elsewhere
from anfl.vectors.imports.chunk_records import ChunkRecords
from anfl.vectors.imports.files import LINK_SECONDS, Files
from anfl.vectors.imports.jobs import Queue
from anfl.vectors.imports.model import Cut, Failure, File, Format, Record, State
from anfl.vectors.imports.records import Records, new_id
from anfl.vectors.imports.requests import Import, ImportList, ImportPage, NewImport, Upload, Uploads, described
from anfl.vectors.refusals import Refusal

_TOGETHER = (
    frozenset({Format.JSONL}),
    frozenset({Format.JSONL, Format.NPY}),
    frozenset({Format.PARQUET}),
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Imports:
    """Safe for threads. Every call names the tenant; what belongs to another one does not exist."""

    catalogue: Catalogue
    records: Records
    chunks: ChunkRecords
    files: Files
    jobs: Queue
    now: Callable[[], float]
    """Seconds since the epoch."""

    def create(self, tenant: str, name: str, request: NewImport) -> Uploads:
        """Begin an import into the collection that ``name`` stands for now.

        :raises Problem: 400, these files make no import; 404 ``collection_not_found``; 409 ``written_elsewhere``; 503.
        """
        formats = [file.format for file in request.files]
        if len(set(formats)) != len(formats) or frozenset(formats) not in _TOGETHER:
            raise invalid("One jsonl file, one jsonl and one npy, or one parquet.", field="files")
        collection = self.catalogue.get(tenant, name)
        check_home(collection, here=self.catalogue.region)
        now = round(self.now(), 3)
        import_id = new_id(now)
        files = tuple(
            File(format=file.format, bytes=file.bytes, upload=self.files.begin(tenant, import_id, place))
            for place, file in enumerate(request.files)
        )
        record = Record(
            tenant=tenant,
            id=import_id,
            collection=collection.name,
            incarnation=collection.incarnation,
            files=files,
            created_at=now,
            home=self.catalogue.region,
        )
        self.records.add(record)
        return self._uploads(record)

    def uploads(self, tenant: str, import_id: str) -> Uploads:
        """What is missing of an import's files, with new addresses.

        :raises Problem: 404 ``import_not_found``; 409 ``import_ended``, ``import_expired``, ``written_elsewhere``; 503.
        """
        return self._uploads(self._open(tenant, import_id))

    def start(self, tenant: str, import_id: str) -> Import:
        """Begin to store what was uploaded; no effect where that has begun.

        :raises Problem: 404 ``import_not_found``; 409 ``import_ended``, ``upload_incomplete``, ``import_expired``,
            ``written_elsewhere``; 503.
        """
        record = self._open(tenant, import_id)
        if record.chunks is None and record.failure is None:
            self._begin(record)
        return self.show(tenant, import_id)

    def show(self, tenant: str, import_id: str) -> Import:
        """How far an import is, and what was wrong with its rows.

        :raises Problem: 404 ``import_not_found``; 503.
        """
        record = self.records.get(tenant, import_id)
        if record.state is State.RUNNING:
            lapsed = self.chunks.lapsed(import_id, now=self.now())
            if lapsed is not None and self._is_home(record):
                self.records.fail(tenant, import_id, _lapsed(lapsed))
                record = self.records.get(tenant, import_id)
            elif lapsed is not None:
                record = msgspec.structs.replace(record, failure=_lapsed(lapsed))
        return described(record, now=self.now(), errors=self.chunks.errors(import_id) if record.refused else ())

    def page(self, tenant: str, request: ImportPage) -> ImportList:
        """The tenant's imports, the newest first.

        :raises Problem: 503.
        """
        found, more = self.records.page(
            tenant, limit=request.limit, before=request.cursor, collection=request.collection
        )
        imports = [described(record, now=self.now()) for record in found]
        return ImportList(imports=imports, cursor=found[-1].id if more else None)

    def cancel(self, tenant: str, import_id: str) -> Import:
        """Store nothing more of an import; what is being stored at this moment may still be.

        :raises Problem: 404 ``import_not_found``; 409 ``import_ended``, it is done; 503.
        """
        record = self.records.get(tenant, import_id)
        if record.state is State.DONE:
            raise _ended(record)
        self.records.cancel(record, at=self.now(), here=self._is_home(record))
        try:
            self.files.remove(record)
        except Problem as problem:
            _log.info("files of an import are left", extra={"import_id": import_id, "code": problem.code})
        return self.show(tenant, import_id)

    def redrive(self, tenant: str, import_id: str) -> Import:
        """Try what is not done of an import once more.

        :raises Problem: as `start`.
        """
        record = self._open(tenant, import_id)
        self.records.go_on(tenant, import_id)
        self.chunks.forget_attempts(import_id)
        self._begin(record)
        return self.show(tenant, import_id)

    def _begin(self, record: Record) -> None:
        """Each step can be repeated, and is, where an earlier attempt ended before the last."""
        for place in range(len(record.files)):
            self.files.complete(record, place)
        self.records.start(record.tenant, record.id, at=round(self.now(), 3))
        self.jobs.send([Cut(tenant=record.tenant, import_id=record.id)])

    def _open(self, tenant: str, import_id: str) -> Record:
        record = self.records.get(tenant, import_id)
        if record.state in (State.DONE, State.CANCELLED):
            raise _ended(record)
        if not self._is_home(record):
            raise elsewhere(f"The files of import {import_id} are in {record.home}", home=str(record.home))
        return record

    def _is_home(self, record: Record) -> bool:
        """Whether its files are in this region, and its jobs are carried out here."""
        return record.home in (None, self.catalogue.region)

    def _uploads(self, record: Record) -> Uploads:
        files = [
            Upload(format=file.format, bytes=file.bytes, missing=self.files.missing(record, place))
            for place, file in enumerate(record.files)
        ]
        return Uploads(id=record.id, collection=record.collection, files=files, expires_in=LINK_SECONDS)


def _ended(record: Record) -> Problem:
    return conflict(f"Import {record.id} is {record.state}.", code=Refusal.IMPORT_ENDED)


def _lapsed(job: str) -> Failure:
    detail = f"{job} was cut short, by its time or a crash, as often as it was tried."
    return Failure(code="cut_short", detail=detail)
