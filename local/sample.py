"""Loads the sample glosses through the API, as any client would."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from anfl.client import ApiError, AsyncClient, NewRow, UnreachableError

DATA = Path(__file__).parent / "sample_data"
COLLECTION = "glosses"
LICENCE = "WordNet 3.0 glosses, © Princeton University (local/sample_data/LICENSE)"
BATCH = 250


class SampleError(RuntimeError):
    """The API refused the sample; the message holds its answer."""


def rows() -> list[NewRow]:
    """The sample: id, metadata, and 384 float32 of unit length."""
    values = np.load(DATA / "glosses.npy").astype("<f4")
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    lines = (DATA / "glosses.jsonl").read_text().splitlines()
    return [NewRow(values=row, **json.loads(line)) for line, row in zip(lines, values, strict=True)]


async def load(api: str, token: str, progress: Callable[[int], None], *, ca: Path | None = None) -> None:
    """Create the collection and upsert every row; ``progress`` is told how many rows are in.

    :raises SampleError: the API refused, or did not answer in time.
    """
    try:
        async with AsyncClient(api, token=token, timeout=30, ca=ca) as client:
            collection = await client.create_collection(COLLECTION, dimension=384)
            await collection.load(rows(), batch_rows=BATCH, progress=progress)
    except (ApiError, UnreachableError) as error:
        raise SampleError(str(error)) from error
