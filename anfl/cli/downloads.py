"""Fetches a version's artefacts: each file appears whole and as it was registered, or not at all."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

import httpx

from anfl.cli.errors import CliError
from anfl.cli.target import Target
from anfl.client import ApiError, Client
from anfl.client.connection import options
from anfl.client.failures import failure_of

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
PRESIGNED = "/api/2.0/mlflow-artifacts/presigned"
GATEWAY_LIMIT = 10_000_000
"""Largest body in bytes that is sent or fetched through API Gateway (its own limit is 10 MB)."""
_TIMEOUT = httpx.Timeout(10, read=60, write=60)
_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file of the artefact store; ``size`` in bytes, None where it is not known yet."""

    place: str
    relative: PurePosixPath
    size: int | None


def place_of(uri: str) -> str:
    """The path in the artefact store that a download URI names.

    :raises CliError: the artefacts lie elsewhere.
    """
    _, found, path = uri.partition(f"{ARTIFACTS}/")
    if not found:
        raise CliError(f"The artefacts lie elsewhere, at {uri}; fetch them from there.")
    return unquote(path)


def files_at(client: Client, place: str) -> list[Remote]:
    """The files below ``place``, or the one that it is."""
    found = list(_below(client, place, PurePosixPath()))
    return found or [Remote(place=place, relative=PurePosixPath(PurePosixPath(place).name), size=None)]


def _below(client: Client, place: str, relative: PurePosixPath) -> Iterator[Remote]:
    for entry in client.json("GET", ARTIFACTS, params={"path": place}).get("files", []):
        inside, name = f"{place}/{entry['path']}", relative / entry["path"]
        if entry["is_dir"]:
            yield from _below(client, inside, name)
        else:
            yield Remote(place=inside, relative=name, size=int(entry["file_size"]))


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a file's bytes come from; ``sha256`` where it is known before they come."""

    url: str
    token: str | None
    sha256: str | None = None
    ca: str | None = None
    """See `Target.ca`."""


def source(file: Remote, target: Target, client: Client) -> Source:
    """The service; for what the gateway cannot pass, where there is no path for large requests, the object store."""
    if target.ingest is None and (file.size is None or file.size > GATEWAY_LIMIT):
        link = client.json("GET", f"{PRESIGNED}/{quote(file.place)}")
        if int(link["file_size"]) > GATEWAY_LIMIT:
            return Source(url=link["url"], token=None, sha256=link.get("sha256"))
    base = target.ingest or target.endpoint
    return Source(url=f"{base}{ARTIFACTS}/{quote(file.place)}", token=target.token, ca=target.ca)


def plain(url: str, *, ca: str | None = None) -> httpx.Client:
    """A client for one address, which may be the object store's: it sends no token by itself."""
    given = options(url, None, _TIMEOUT, ca)
    return httpx.Client(**{name: given[name] for name in ("timeout", "trust_env", "verify") if name in given})


def not_passed(what: str, error: httpx.HTTPError) -> CliError:
    """For bytes that did not get through: why, and what can be done."""
    failure = failure_of(error)
    told = CliError(f"{what}: {failure.happened}.")
    told.add_note(failure.advice)
    return told


def fetch(file: Remote, folder: Path, *, source: Source, received: Callable[[int], None]) -> Path:
    """Download ``file`` below ``folder``.

    :param received: told how many bytes arrived.
    :raises CliError: it did not arrive, or not with the recorded checksum.
    """
    if ".." in file.relative.parts or file.relative.is_absolute():
        raise CliError(f"{file.place} would be written outside of {folder}.")
    target = folder / file.relative
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.part")
    headers = {"authorization": f"Bearer {source.token}"} if source.token else {}
    digest = hashlib.sha256()
    try:
        with (
            plain(source.url, ca=source.ca) as client,
            client.stream("GET", source.url, headers=headers) as answer,
            partial.open("wb") as out,
        ):
            if answer.status_code != httpx.codes.OK:
                answer.read()
                raise CliError(f"{file.place} was not given: {answer.status_code} {ApiError.of(answer).detail}")
            for chunk in answer.iter_bytes(_CHUNK):
                out.write(chunk)
                digest.update(chunk)
                received(len(chunk))
        recorded = source.sha256 or answer.headers.get("x-anfl-sha256")
        if recorded not in (None, digest.hexdigest()):
            raise CliError(f"{file.place} arrived with the sha256 {digest.hexdigest()} instead of {recorded}.")
        partial.replace(target)
    except httpx.HTTPError as error:
        raise not_passed(f"{file.place} did not arrive whole", error) from error
    finally:
        partial.unlink(missing_ok=True)
    return target
