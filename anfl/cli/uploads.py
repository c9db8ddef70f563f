"""Sends artefacts to their places: small files through the gateway, larger ones past it."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import httpx

from anfl.cli.downloads import ARTIFACTS, GATEWAY_LIMIT, not_passed, plain
from anfl.cli.errors import CliError
from anfl.cli.target import Target
from anfl.client import Client
from anfl.registry.folders import folder_of

_CHUNK = 1 << 20
_TIMEOUT = httpx.Timeout(120, connect=5)
"""Of what is large: S3 joins parts once all are there, and the load balancer waits as long."""
Sent = Callable[[int], None]
"""Told how many bytes were sent; less than none where they have to be sent again."""


def upload(client: Client, target: Target, name: str, files: Mapping[str, Path], *, sent: Sent) -> None:
    """Send artefacts of a model, to the registry's home.

    A file too large for the gateway takes the path for large requests, or where the environment has none a link, by
    which the object store accepts exactly these bytes.

    :param client: of ``target``; it knows the home by now, if that is another region.
    :param files: by their places in the artefact store.
    :raises CliError: the object store refused one.
    """
    with Client(target.ingest or target.endpoint, token=target.token, ca=target.ca, timeout=_TIMEOUT) as large:
        for place, file in files.items():
            size = file.stat().st_size
            # What takes large requests is the nearest region's, which may not be the registry's home.
            if size > GATEWAY_LIMIT and (target.ingest is None or client.homes.of(ARTIFACTS) is not None):
                _by_link(client, name, place, file, sent=sent)
                continue
            way = client if size <= GATEWAY_LIMIT else large
            headers = {"content-length": str(size)}
            way.send("PUT", f"{ARTIFACTS}/{quote(place)}", content=Content(file, sent), headers=headers)


class Content:
    """A file's content, as often as it is asked for; ``sent`` is told as it is taken, and of what is taken anew."""

    def __init__(self, file: Path, sent: Sent) -> None:
        self._file = file
        self._sent = sent
        self._told = 0

    def __iter__(self) -> Iterator[bytes]:
        """Its pieces, from the beginning."""
        self._sent(-self._told)
        self._told = 0
        with self._file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
                self._told += len(chunk)
                self._sent(len(chunk))


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
