"""Extracted function bundles, kept between runs, and the packages that Lambda's Python runtime brings along."""

import contextlib
import io
import os
import shutil
import tempfile
import threading
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path

UNUSED_SECONDS = 7 * 86400
"""Bundles that no worker was started from for so long are removed."""
_RUNTIME = ("awslambdaric", "runtime_client", "snapshot_restore_py", "simplejson")
_SDK = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""What Lambda's Python runtime brings along; everything else must be in the bundle."""


class CodeCache:
    """A folder of bundles by content; safe for threads and beside other runs."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()

    def bundle(self, sha256: str, archive: bytes) -> Path:
        """The folder into which ``archive`` is extracted.

        :raises zipfile.BadZipFile: it is none.
        """
        target = self._root / sha256
        with self._lock:
            if not target.exists():
                self._prune()
                self._extract(archive, target)
            os.utime(target)
        return target

    def runtime(self) -> Path:
        """A folder with the runtime interface client and the SDK, and nothing else of this environment."""
        target = self._root / "runtime"
        with self._lock:
            target.mkdir(parents=True, exist_ok=True)
            for name in (*_RUNTIME, *_SDK):
                found = find_spec(name)
                if found is not None and found.origin is not None:
                    origin = Path(found.origin)
                    origin = origin.parent if found.submodule_search_locations else origin
                    link = target / origin.name
                    if not link.exists():
                        link.unlink(missing_ok=True)
                        link.symlink_to(origin)
        return target

    def _extract(self, archive: bytes, target: Path) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=self._root, prefix=".draft-"))
        try:
            with zipfile.ZipFile(io.BytesIO(archive)) as opened:
                for entry in opened.infolist():
                    place = Path(opened.extract(entry, draft))
                    if not entry.is_dir() and (mode := entry.external_attr >> 16 & 0o777):
                        place.chmod(mode | 0o400)
            draft.chmod(0o755)
            with contextlib.suppress(OSError):  # another run was first
                draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _prune(self) -> None:
        oldest = time.time() - UNUSED_SECONDS
        for folder in self._root.glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if folder.name != "runtime" and folder.stat().st_mtime < oldest:
                    shutil.rmtree(folder, ignore_errors=True)
