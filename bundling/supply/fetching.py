"""Keeps OSV's archives beside the builds: asked for anew when they are old, used as they are where nobody answers."""

import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from bundling.supply.advisories import ECOSYSTEMS

SOURCE = "https://osv-vulnerabilities.storage.googleapis.com"
FRESH_SECONDS = 24 * 3600.0
_TIMEOUT = httpx.Timeout(30.0, connect=5.0)


@dataclass(frozen=True, kw_only=True)
class Archive:
    """Advisories of one ecosystem as they were a while ago."""

    ecosystem: str
    file: Path
    age_seconds: float


def fetched(ecosystem: str, folder: Path, *, source: str = SOURCE) -> Archive | None:
    """The archive, at most a day old if somebody answers, else whatever is there; None for nothing at all.

    It is replaced as a whole or not at all.
    """
    file = folder / f"{ecosystem}.zip"
    if _age(file) > FRESH_SECONDS:
        partial = file.with_suffix(".partial")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            url = f"{source}/{ECOSYSTEMS[ecosystem]}/all.zip"
            with (
                httpx.stream("GET", url, timeout=_TIMEOUT, follow_redirects=True) as answer,
                partial.open("wb") as output,
            ):
                answer.raise_for_status()
                for part in answer.iter_bytes():
                    output.write(part)
            partial.replace(file)
        except httpx.HTTPError:
            pass
        finally:
            partial.unlink(missing_ok=True)
    return Archive(ecosystem=ecosystem, file=file, age_seconds=_age(file)) if file.exists() else None


def _age(file: Path) -> float:
    return time.time() - file.stat().st_mtime if file.exists() else float("inf")
