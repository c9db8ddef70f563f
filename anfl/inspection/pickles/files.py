"""Files of one or more pickles."""

from collections.abc import Callable
from pathlib import Path

from anfl.inspection.codes import Code, Finding
from anfl.inspection.pickles.walk import Found, Loader, Walk
from anfl.inspection.streams import Cursor

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
"""First value of the files that ``torch.save`` wrote before it wrote zip archives."""
_TORCH_LEGACY_PICKLES = 5
_HARM = {Code.DANGEROUS_GLOBAL, Code.MEMORY_BOMB}
_IMPORTS = {Code.UNLISTED_GLOBAL, Code.OBSCURED_GLOBAL}
"""What a pickle does by calling what it must not even name."""
_BROKEN = {Code.MALFORMED, Code.TRUNCATED, Code.TRAILING_DATA}
_DAMAGED = {Code.ARCHIVE_BOMB, Code.CHECKSUM_MISMATCH, Code.UNREADABLE}
"""What is said of a compressed file that cannot be read so far."""


def pickle_file(path: Path, *, tick: Callable[[], None]) -> list[Finding]:
    """Everything questionable in a pickle, a torch file of the old kind, or a joblib file that is not compressed.

    joblib skips the data of arrays, ``pickle.load`` runs it as opcodes: the file must be harmless to both.

    :param tick: raises when the time is over.
    """
    with path.open("rb") as stream:
        plain = _read(Cursor(stream), loader=Loader.PICKLE, tick=tick)
    if not plain.joblib:
        return list(plain.findings.values())
    with path.open("rb") as stream:
        found = _read(Cursor(stream), loader=Loader.JOBLIB, tick=tick)
    for finding in plain.findings.values():
        if finding.code in _HARM:  # the rest is what joblib's data happens to read as
            found.add(finding)
    for finding in [] if found.objects else plain.first:  # to others, the memo of an array of objects is shifted
        found.add(finding)
    return list(found.findings.values())


def pickle_stream(cursor: Cursor, *, torch: bool = False, tick: Callable[[], None]) -> list[Finding]:
    """Everything questionable in pickles that only ``pickle.load`` reads, or ``torch.load``.

    :param torch: it is the ``data.pkl`` of a torch archive, where persistent ids name tensors.
    :param tick: raises when the time is over.
    """
    found = _read(cursor, loader=Loader.TORCH if torch else Loader.PICKLE, tick=tick)
    return list(found.findings.values())


def is_pickle(path: Path, *, tick: Callable[[], None]) -> bool:
    """Whether a file is a pickle although nothing but its opcodes says so.

    Those of protocols 0 and 1 have no magic: a file is one if it can be loaded, or does harm before it fails.
    """
    with path.open("rb") as stream:
        return begins_pickle(Cursor(stream), tick=tick)


def begins_pickle(cursor: Cursor, *, tick: Callable[[], None]) -> bool:
    """As `is_pickle`, of what is still to be read."""
    found = _read(cursor, loader=Loader.PICKLE, tick=tick)
    codes = {finding.code for finding in found.findings.values()}
    return found.joblib or found.calls or codes.isdisjoint(_BROKEN | _DAMAGED) or Code.DANGEROUS_GLOBAL in codes


def _read(cursor: Cursor, *, loader: Loader, tick: Callable[[], None]) -> Found:
    found = Found()
    legacy = False
    count = 0
    while count == 0 or cursor.peek(1):
        tensors_follow = legacy and count >= _TORCH_LEGACY_PICKLES
        if tensors_follow:
            break
        kind = Loader.TORCH if legacy else loader
        try:
            result = Walk(cursor, found, loader=kind, tick=tick).run()
        except Finding as stop:
            after_the_end = count > 0 and not legacy and stop.code in (Code.MALFORMED, Code.TRUNCATED)
            trailing = Finding(Code.TRAILING_DATA, "there is data after the pickle's end")
            found.add(trailing if after_the_end else stop)
            break
        finally:
            if count == 0 and found.calls:
                found.first = [finding for finding in found.findings.values() if finding.code in _IMPORTS]
        legacy = legacy or (count == 0 and result == TORCH_MAGIC)
        count += 1
    return found
