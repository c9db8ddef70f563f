"""Material of wrapping keys: drawn inside KMS, which keeps no copy, and opened in any region that takes part.

The encryption context binds a version's material to its environment and number: put under another number, or into
another environment's table, it does not open.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from anfl.crypto.wrapping_versions import WrappingVersion

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

KEY_BYTES = 32
"""Of AES-256."""
PURPOSE, PURPOSE_VALUE = "anfl-purpose", "wrapping-key"
"""Part of the encryption context that the policies of IAM ask for."""


class Material:
    """The KMS key that wraps the material, in this region. Methods raise botocore's errors."""

    def __init__(self, client: "KMSClient", *, key_id: str, environment: str) -> None:
        """:param key_id: of the multi-region key, or its ARN in this region."""
        self._client = client
        self._key_id = key_id
        self._environment = environment

    def draw(self, number: int) -> bytes:
        """New material for version ``number``, wrapped. It is nowhere in clear, here neither."""
        answer = self._client.generate_data_key_without_plaintext(
            KeyId=self._key_id, NumberOfBytes=KEY_BYTES, EncryptionContext=self._context(number)
        )
        return answer["CiphertextBlob"]

    @contextmanager
    def opened(self, version: WrappingVersion) -> Iterator[bytearray]:
        """The material in clear, overwritten at the end. Copies that libraries make Python cannot reach."""
        answer = self._client.decrypt(
            KeyId=self._key_id,
            CiphertextBlob=version.material,
            EncryptionContext=self._context(version.number),
        )
        secret = bytearray(answer["Plaintext"])
        try:
            yield secret
        finally:
            secret[:] = bytes(len(secret))

    def _context(self, number: int) -> dict[str, str]:
        return {PURPOSE: PURPOSE_VALUE, "anfl-environment": self._environment, "anfl-version": str(number)}
