"""Opens what the services of a run have sealed, by the root token of its Vault."""

import time

import psutil

from anfl.auth.vault import StaticToken, VaultClient
from anfl.crypto.vault_transit import VaultTransit
from anfl.vectors.objects import ObjectStore
from anfl.vectors.repair import Repairs
from anfl.vectors.sealing import Envelopes, sealing
from tests.local.end_to_end.running import Run


class _Reader:
    """Makes no keys, so it need not know by which version."""

    def active(self) -> None:
        """See `anfl.crypto.transit.Versions.active`."""


def envelopes(run: Run, objects: ObjectStore) -> Envelopes:
    """Of the collections of a run's (first) region."""
    vault = VaultClient(address=run.document["vault"], credentials=StaticToken(run.document["vault_token"]))
    return sealing(objects, VaultTransit(vault, _Reader()), repairs=Repairs(objects), monotonic=time.monotonic)


def environment(run: Run, service: str) -> dict[str, str]:
    """What a service of the run is told."""
    return psutil.Process(run.current()["pids"][service]).environ()
