"""Changes drawn at random: of few rows, so that they get in each other's way."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from anfl.vectors.changes import Change
from anfl.vectors.requests import DeleteRows, NewRow, PatchRow, PatchRows, Upsert


@dataclass(frozen=True, kw_only=True)
class Habits:
    """What callers ask for."""

    ids: Sequence[str]
    dimension: int
    versions: int
    """Conditions guess a version up to this one."""
    lifetimes: Sequence[float]
    """Seconds until a row expires, where it does."""

    def draw(self, dice: random.Random, request_id: str, *, now: float) -> Change:
        """One change; mostly an upsert."""
        ids = dice.sample(self.ids, dice.randint(1, 4))
        kind = dice.random()
        if kind < 0.6:
            return self._upsert(dice, ids, request_id, now)
        if kind < 0.75:
            patches = [PatchRow(id=row_id, metadata={"p": dice.choice([None, 1, 2])}) for row_id in ids]
            return PatchRows(vectors=patches, request_id=request_id)
        if kind < 0.9:
            return DeleteRows(ids=ids, request_id=request_id)
        return DeleteRows(filter={"n": {"$lt": dice.randrange(5)}}, request_id=request_id)

    def _upsert(self, dice: random.Random, ids: Sequence[str], request_id: str, now: float) -> Upsert:
        condition = dice.choice([None, None, None, 0, dice.randint(1, self.versions)])
        moment = dice.choice([None, None, None, now + dice.choice(self.lifetimes)])
        rows = [
            NewRow(
                id=row_id,
                values=[float(dice.randrange(100)) for _ in range(self.dimension)],
                metadata={"n": dice.randrange(10)},
                expires_at=moment,
                if_version=condition,
            )
            for row_id in ids
        ]
        return Upsert(vectors=rows, request_id=request_id)
