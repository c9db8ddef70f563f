"""What one commit changes, as it stands in the log: after-images and resolved ids, never filters or merges.

So replay does not depend on code.
"""

import msgspec

from anfl.vectors.model import Metadata, Row


class AppliedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request id that this batch carries out, with the digest of the request's body and its answer."""

    request_id: str
    digest: bytes
    count: int


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """The metadata of an existing row after a patch."""

    id: str
    metadata: Metadata


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one commit changes: rows replaced whole, metadata replaced, ids removed — in this order."""

    batch_id: str
    tenant: str
    collection: str
    incarnation: str
    epoch: int
    sequence: int
    ts: float
    rows: list[Row] = []
    patches: list[Patch] = []
    deleted: list[str] = []
    requests: list[AppliedRequest] = []
    revision: int = 0
    """If not 0: whoever writes behind this slot knows the collection's settings of this revision, or later ones."""
