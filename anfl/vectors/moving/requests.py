"""What callers send and get about moves."""

from typing import Annotated

import msgspec

from anfl.vectors.model import Name
from anfl.vectors.moving.records import Stage
from anfl.vectors.requests import Request


class Move(Request, frozen=True, kw_only=True):
    """``POST …/move``. ``to``: the name of the new collection; by default ``{name}-{engine}``."""

    engine: Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["hnsw", "dynamodb"]})]
    to: Name | None = None


class Moved(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a move is.

    ``passes`` over all rows are done; of the present one ``looked`` at so many rows, ``changed`` so many that differed.
    In the stages ``following`` and ``paused``, ``behind`` so many batches of writes are not copied yet.
    ``wait`` as many seconds before the next step, if any. With stage ``done`` there is nothing left to do; then
    ``collection`` is None if there was nothing to do at all, or the old collection is deleted already.
    """

    collection: str | None
    to: str
    engine: str
    stage: Stage
    passes: int = 0
    looked: int = 0
    changed: int = 0
    behind: int = 0
    wait: float = 0.0
