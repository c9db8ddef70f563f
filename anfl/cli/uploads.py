"""Sends artefacts to their places: small files through the gateway, larger ones past it."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import httpx

from anfl.cli.downloads import ARTIFACTS, GATEWAY_LIMIT, not_passed, plain
from anfl.cli.errors import CliError
from anfl.cli.target import Target
from anfl.client import Client, ConflictError
from anfl.client.connection import Connection
from anfl.registry.folders import folder_of

_CHUNK = 1 << 20
_TIMEOUT = httpx.Timeout(120, connect=5)
"""Of what is large: S3 joins parts once all are there, and the load balancer waits as long."""
Sent = Callable[[int], None]
"""Told how many bytes were sent; less than none where they have to be sent again."""


def upload(client: Client, target: Target, name: str, files: Mapping[str, Path], *, sent: Sent) -> None:
    """Send artefacts of a model, to the registry's home.

    A file too large for the gateway takes the path for large requests. Where the environment has none, or it leads to
    another region, it goes by a link, by which the object store accepts exactly these bytes.

    :param client: of ``target``; it knows the home by now, if that is another region.
    :param files: by their places in the artefact store.
    :raises CliError: the object store refused one.
    """
    # What takes large requests is the nearest region's. A connection follows nobody, as to a home's gateway.
    with Connection(target.ingest or target.endpoint, token=target.token, ca=target.ca, timeout=_TIMEOUT) as large:
        is_at_home = target.ingest is not None and client.homes.of(ARTIFACTS) is None
        for place, file in files.items():
            if file.stat().st_size <= GATEWAY_LIMIT:
                _put(client, place, file, Content(file, sent))
                continue
            is_at_home = is_at_home and _taken(large, place, file, sent=sent)
            if not is_at_home:
                _by_link(client, name, place, file, sent=sent)


def _put(way: Connection, place: str, file: Path, content: "Content") -> None:
    headers = {"content-length": str(file.stat().st_size)}
    way.send("PUT", f"{ARTIFACTS}/{quote(place)}", content=content, headers=headers)


def _taken(way: Connection, place: str, file: Path, *, sent: Sent) -> bool:
    """As `_put`; False where another region is to be asked."""
    content = Content(file, sent)
    try:
        _put(way, place, file, content)
    except ConflictError as error:
        if error.endpoint is None:
            raise
        content.begin_anew()
        return False
    return True


class Content:
    """A file's content, as often as it is asked for; ``sent`` is told as it is taken, and of what is taken anew."""

    def __init__(self, file: Path, sent: Sent) -> None:
        self._file = file
        self._sent = sent
        self._told = 0

    def __iter__(self) -> Iterator[bytes]:
        """Its pieces, from the beginning."""
        self.begin_anew()
        with self._file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
                self._told += len(chunk)
                self._sent(len(chunk))

    def begin_anew(self) -> None:
        """Nothing of it counts as sent."""
        self._sent(-self._told)
        self._told = 0


def _by_link(client: Client, name: str, place: str, file: Path, *, sent: Sent) -> None:
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    size = file.stat().st_size
    asked = {"path": place.removeprefix(f"{folder_of(name)}/"), "size": size, "sha256": sha256}
    link = client.json("POST", f"/v1/models/{quote(name, safe='')}/uploads", body=asked)
    headers = {"content-length": str(size)} | link["headers"]
    try:
        with plain(link["url"]) as store:
            answer = store.put(link["url"], content=Content(file, sent), headers=headers)
    except httpx.HTTPError as error:
        raise not_passed(f"{file} could not be sent", error) from error
    if not answer.is_success:
        raise CliError(f"{file} was refused by the object store: {answer.status_code} {answer.text[:500]}")
