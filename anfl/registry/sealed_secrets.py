"""Secrets of webhooks under AES-256-GCM, by one data key for each tenant and region, which Vault wraps.

The wrapped key is an item of the registry's table beside what it seals. Its place ``_secrets/{tenant}/{region}`` is the
context by which Vault derives the key that wraps it; Vault's policies let the registry use contexts that begin so and
no others, and no tenant's name begins with an underscore. The region is the one that made the key: of two regions'
writes to one item of a global table the later one stays, so no two may ever make a key of the same name. Every region
opens all of them.
"""

import base64
import binascii
import re
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from anfl import elapsed
from anfl.crypto import sealed
from anfl.crypto.data_keys import DataKeys
from anfl.crypto.transit import Transit
from anfl.crypto.trouble import TamperedError, key_unavailable
from anfl.problems import Problem, unavailable
from anfl.registry import keys
from anfl.registry.secrets import SEALED, is_sealed
from anfl.registry.table import ABSENT, LostRaceError, Put, Table

_REGION = re.compile(r"[a-z0-9-]{1,32}")


class SealedSecrets:
    """`anfl.registry.secrets.Secrets` over the registry's table. Safe for threads."""

    def __init__(
        self,
        table: Table,
        transit: Transit,
        *,
        region: str,
        monotonic: Callable[[], float] = elapsed.seconds,
    ) -> None:
        """:param region: that of this process."""
        self._keys = DataKeys(transit, TableKeys(table), monotonic=monotonic)
        self._region = region

    def seal(self, tenant: str, webhook_id: str, secret: str) -> str:
        """See `Secrets.seal`."""
        try:
            key = self._keys.to_seal(keys.data_key_place(tenant, self._region))
        except TamperedError as error:
            raise _damaged("The key of this tenant's secrets") from error
        place = _place(tenant, webhook_id)
        body = sealed.seal(secret.encode(), key=key, key_name=self._region, place=place, identity=webhook_id)
        return SEALED + base64.b64encode(body).decode()

    def open(self, tenant: str, webhook_id: str, kept: str) -> str:
        """See `Secrets.open`."""
        if not is_sealed(kept):
            return kept

        def key_of(name: str) -> bytes:
            if not _REGION.fullmatch(name):
                raise TamperedError("no key's name")
            return self._keys.to_open(keys.data_key_place(tenant, name))

        try:
            body = base64.b64decode(kept.removeprefix(SEALED), validate=True)
            return sealed.unseal(body, key_of=key_of, place=_place(tenant, webhook_id)).decode()
        except (TamperedError, binascii.Error) as error:
            raise _damaged(f"The secret of webhook {webhook_id}") from error


class TableKeys:
    """`anfl.crypto.data_keys.WrappedKeys` in the registry's table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, place: str, unwrap: Callable[[str], bytes], *, expected: bool) -> bytes | None:  # noqa: ARG002
        """See `WrappedKeys.read`. There are no copies but the table's own backups."""
        try:
            item = self._table.get(keys.data_key(place))
        except (BotoCoreError, ClientError) as error:
            raise _unanswered() from error
        return None if item is None else unwrap(item["wrapped"])

    def put_if_absent(self, place: str, wrapped: str) -> bool:
        """See `WrappedKeys.put_if_absent`."""
        put = Put(key=keys.data_key(place), item={"wrapped": wrapped, "revision": 1}, condition=ABSENT)
        try:
            self._table.write(put)
        except LostRaceError:
            return False
        except (BotoCoreError, ClientError) as error:
            raise _unanswered() from error
        return True


def _place(tenant: str, webhook_id: str) -> str:
    """Tenant, webhook and field: what is sealed opens nowhere else."""
    return f"{tenant}/{webhook_id}/secret"


def _damaged(what: str) -> Problem:
    return unavailable(f"{what} is not what was written. Give the webhook a new secret.", code="secret_damaged")


def _unanswered() -> Problem:
    return key_unavailable("the registry's table does not answer")
