"""Loads the sample glosses through the API, as any client would."""

import asyncio
import base64
import json
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import numpy as np

DATA = Path(__file__).parent / "sample_data"
COLLECTION = "glosses"
LICENCE = "WordNet 3.0 glosses, © Princeton University (local/sample_data/LICENSE)"
BATCH = 250
ATTEMPTS = 6


class SampleError(RuntimeError):
    """The API refused the sample; the message holds its answer."""


def rows() -> list[dict[str, Any]]:
    """The sample as upserts: id, metadata, and 384 float32 of unit length."""
    values = np.load(DATA / "glosses.npy").astype("<f4")
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    lines = (DATA / "glosses.jsonl").read_text().splitlines()
    return [
        {**json.loads(line), "values": {"f32": base64.b64encode(row.tobytes()).decode()}}
        for line, row in zip(lines, values, strict=True)
    ]


async def load(api: str, token: str, progress: Callable[[int], None]) -> None:
    """Create the collection and upsert every row; ``progress`` is told how many rows are in.

    :raises SampleError: the API refused, or did not answer in time.
    """
    sample = rows()
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=api, headers=headers, timeout=30, trust_env=False) as client:
        settings = {"name": COLLECTION, "dimension": 384, "metric": "cosine"}
        await _send(client, "POST", "/v1/collections", settings)
        for start in range(0, len(sample), BATCH):
            body = {"vectors": sample[start : start + BATCH]}
            await _send(client, "PUT", f"/v1/collections/{COLLECTION}/vectors", body)
            progress(min(start + BATCH, len(sample)))


async def _send(client: httpx.AsyncClient, method: str, path: str, body: object) -> None:
    answer = ""
    for attempt in range(ATTEMPTS):
        try:
            response = await client.request(method, path, json=body)
        except httpx.TransportError as error:
            answer = repr(error)
        else:
            if response.is_success:
                return
            answer = f"{response.status_code} {response.text[:500]}"
            if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR and response.status_code != 429:
                break
        await asyncio.sleep(0.2 * 2**attempt)
    raise SampleError(f"{method} {path}: {answer}")
