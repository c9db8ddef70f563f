"""Rows into a collection over HTTP: encoded beforehand, sent by two connections as fast as they are taken."""

import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np

from anfl.client.rows import packed
from anfl.vectors.model import Values
from tests.benchmarks.errors import BenchmarkError

BATCH = 1_000
CONNECTIONS = 2


def bodies(rows: Values, metadata: Sequence[dict[str, object]], *, prefix: str = "") -> list[bytes]:
    """Upserts of a thousand rows each, ids counted from 0."""
    return [
        json.dumps(
            {
                "vectors": [
                    {"id": f"{prefix}{number}", "values": packed(rows[number]), "metadata": metadata[number]}
                    for number in range(first, min(first + BATCH, len(rows)))
                ]
            }
        ).encode()
        for first in range(0, len(rows), BATCH)
    ]


@dataclass
class Loader:
    """Sends upserts until there are no more, or it is told to stop."""

    url: str
    token: str
    collection: str
    waiting: Iterator[bytes]
    taken: int = 0
    failed: list[str] = field(default_factory=list)
    _stopped: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin."""
        self._threads = [threading.Thread(target=self._send) for _ in range(CONNECTIONS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped = True
        self.join()

    def join(self) -> None:
        """Wait until all is acknowledged.

        :raises BenchmarkError: something was refused.
        """
        for thread in self._threads:
            thread.join()
        if self.failed:
            raise BenchmarkError(f"an upsert failed: {self.failed[0]}")

    def _send(self) -> None:
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        path = f"/v1/collections/{self.collection}/vectors"
        while not self._stopped and not self.failed:
            with self._lock:
                body = next(self.waiting, None)
            if body is None:
                return
            while True:
                connection.request("PUT", path, body, headers)
                answer = connection.getresponse()
                said = answer.read()
                if answer.status != 429:
                    break
                time.sleep(float(answer.headers.get("retry-after", "1")))
            if answer.status != 200:
                self.failed.append(f"{answer.status} {said[:300]!r}")
                return
            with self._lock:
                self.taken += BATCH


def shares(rows: Values, *, seed: int = 1) -> tuple[list[dict[str, object]], dict[tuple[float, bool], list[int]]]:
    """Metadata with a flag for each share of rows to match, and which rows do.

    ``any`` flags are independent of the vectors, ``near`` ones stand where the vectors point most in one direction.
    """
    random = np.random.default_rng(seed)
    direction = rows[random.integers(len(rows))]
    order = np.argsort(-(rows @ direction))
    metadata: list[dict[str, object]] = [{} for _ in range(len(rows))]
    matching: dict[tuple[float, bool], list[int]] = {}
    for share in SHARES:
        count = max(1, round(share * len(rows)))
        for near, chosen in ((False, random.permutation(len(rows))[:count]), (True, order[:count])):
            matching[share, near] = sorted(chosen.tolist())
            for number in matching[share, near]:
                metadata[number][flag(share, near=near)] = True
    return metadata, matching


SHARES = (0.01, 0.06, 0.11, 0.2, 0.3, 0.5)


def flag(share: float, *, near: bool) -> str:
    """The field that rows of a share have."""
    return f"{'near' if near else 'any'}{share:.0%}".replace("%", "")
