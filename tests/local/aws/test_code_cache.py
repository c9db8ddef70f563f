"""Bundles are extracted once, by content, and forgotten when nobody uses them any more."""

import io
import os
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local.aws.code_cache import UNUSED_SECONDS, CodeCache


def _zip(**files: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.py", text)
    return content.getvalue()


def test_a_bundle_is_extracted_once(tmp_path: Path) -> None:
    bundle = CodeCache(tmp_path).bundle("a", _zip(handler="X = 1"))
    assert (bundle / "handler.py").read_text() == "X = 1"
    assert CodeCache(tmp_path).bundle("a", b"not even looked at") == bundle


def test_what_is_no_archive_leaves_nothing(tmp_path: Path) -> None:
    cache = CodeCache(tmp_path)
    with pytest.raises(zipfile.BadZipFile):
        cache.bundle("a", b"nonsense")
    assert (cache.bundle("a", _zip(handler="X = 1")) / "handler.py").exists()


def test_runs_that_extract_the_same_bundle_at_once_agree(tmp_path: Path) -> None:
    archive = _zip(**{f"module{n}": "X = 1\n" * 100 for n in range(200)})
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: CodeCache(tmp_path).bundle("a", archive), range(4)))
    assert set(found) == {tmp_path / "a"}
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert len(list(found[0].iterdir())) == 200


def test_only_bundles_that_nobody_uses_are_forgotten(tmp_path: Path) -> None:
    cache = CodeCache(tmp_path)
    old, used = cache.bundle("old", _zip(handler="1")), cache.bundle("used", _zip(handler="2"))
    cache.runtime()
    for folder in (old, used, tmp_path / "runtime"):
        os.utime(folder, times=(0, time.time() - UNUSED_SECONDS - 60))
    cache.bundle("used", b"")
    cache.bundle("new", _zip(handler="3"))
    assert {path.name for path in tmp_path.iterdir()} == {"used", "new", "runtime"}
