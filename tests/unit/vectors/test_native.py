"""Searching in C++ against definitions in float64."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anfl.vectors.engine import bitmaps
from anfl.vectors.engine.native import Block, DamagedGraphError, find_ids, sketch
from anfl.vectors.engine.packed import Packed, pack
from anfl.vectors.model import LONGEST, SHORTEST, Metric

Array = np.ndarray[Any, Any]
ELEMENTS = st.integers(-800, 799)
SCALES = st.sampled_from([1.0, 1e-3, 1e6, 2.0**40, 2.0**-40])


def exact(metric: Metric, query: Array, rows: Array) -> Array:
    query, rows = query.astype(np.float64), rows.astype(np.float64)
    dots = rows @ query
    match metric:
        case Metric.COSINE:
            found: Array = 1 - dots / (np.linalg.norm(rows, axis=1) * np.linalg.norm(query))
        case Metric.L2:
            found = np.linalg.norm(rows - query, axis=1)
        case Metric.IP:
            found = -dots
    return found


def scan(metric: Metric, query: Array, rows: Array, k: int, allowed: Array | None = None) -> list[tuple[float, int]]:
    bits = bitmaps.everything(len(rows)) if allowed is None else bitmaps.of_mask(allowed)
    found = Block(metric, rows, *sketch(rows)).scan(query[np.newaxis], k, bits)
    return found[0]


@settings(deadline=None, max_examples=300)
@given(
    eighths=st.integers(1, 70).flatmap(lambda dimension: hnp.arrays(np.int16, (40, dimension), elements=ELEMENTS)),
    metric=st.sampled_from(Metric),
    k=st.integers(1, 45),
    scale=SCALES,
    offset=st.sampled_from([0.0, 1_000.0]),
    share=st.floats(0, 1),
)
def test_a_scan_finds_the_nearest_and_all_that_are_as_near(
    eighths: Array, metric: Metric, k: int, scale: float, offset: float, share: float
) -> None:
    values = (((eighths + 0.5) / 8 + offset) * scale).astype(np.float32)  # no zero vector
    query, rows = values[0], values[1:]
    rows[20:25] = rows[19]
    allowed = np.random.default_rng(1).random(len(rows)) < share
    found = scan(metric, query, rows, k, allowed)
    distances = exact(metric, query, rows)
    numbers = np.flatnonzero(allowed)
    wanted = np.sort(distances[numbers])[:k]
    tolerance = 1e-9 * (1 + float(np.abs(wanted).max(initial=0)) + (offset * scale) ** 2 * (metric is Metric.IP))
    assert [number for _, number in found] == list(dict.fromkeys(number for _, number in found))
    assert {number for _, number in found} <= set(numbers.tolist())
    assert np.allclose([distance for distance, _ in found][:k], wanted, rtol=1e-9, atol=tolerance)
    assert np.allclose([distances[n] for _, n in found], [d for d, _ in found], rtol=1e-9, atol=tolerance)
    if {19, 20} & {n for _, n in found}:  # equal rows come together
        assert {n for n in range(19, 25) if allowed[n]} <= {n for _, n in found}


@pytest.mark.parametrize("metric", list(Metric))
def test_real_dimensions_and_many_rows(metric: Metric) -> None:
    generator = np.random.default_rng(2)
    rows = generator.normal(size=(3_000, 384)).astype(np.float32) + (5 if metric is Metric.L2 else 0)
    block = Block(metric, rows, *sketch(rows))
    queries = rows[:20] + 0.1 * generator.normal(size=(20, 384)).astype(np.float32)
    for query, found in zip(queries, block.scan(queries, 10, bitmaps.everything(3_000)), strict=True):
        distances = exact(metric, query, rows)
        assert [number for _, number in found] == np.argsort(distances)[:10].tolist()
        assert np.allclose([distance for distance, _ in found], np.sort(distances)[:10], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("length", [LONGEST, SHORTEST])
@pytest.mark.parametrize("dimension", [2, 4096])
def test_extreme_lengths_keep_their_direction(length: float, dimension: int) -> None:
    directions = np.random.default_rng(1).normal(size=(20, dimension))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    values = (directions * length).astype(np.float32)
    found = scan(Metric.COSINE, values[0], values, 20)
    expected = 1 - directions @ directions[0]
    assert [number for _, number in found] == np.argsort(expected, kind="stable").tolist()
    assert np.allclose([distance for distance, _ in found], np.sort(expected), rtol=0, atol=1e-6)
    for metric in (Metric.L2, Metric.IP):
        again = scan(metric, values[0], -values, 20)
        assert np.allclose([d for d, _ in again], np.sort(exact(metric, values[0], -values)), rtol=1e-6, atol=1e-30)


def test_zeros_are_rows_like_others_but_under_cosine() -> None:
    rows = np.array([[0, 0], [3, 4], [0, 0]], dtype=np.float32)
    assert scan(Metric.L2, rows[0], rows, 1) == [(0.0, 0), (0.0, 2)]
    assert [distance for distance, _ in scan(Metric.IP, rows[1], rows, 3)] == [-25.0, 0.0, 0.0]


@pytest.mark.parametrize("file", [b"", bytes(96), b"\xff" * 500])
def test_what_is_no_graph_is_refused(file: bytes) -> None:
    rows = np.ones((3, 2), dtype=np.float32)
    with pytest.raises(DamagedGraphError):
        Block(Metric.L2, rows, *sketch(rows), graph=np.frombuffer(file, dtype=np.uint8))


@given(
    there=st.lists(st.binary(max_size=5), unique=True, max_size=40),
    wanted=st.lists(st.binary(max_size=5), max_size=20),
    data=st.data(),
)
def test_ids_are_found_by_their_bytes(there: list[bytes], wanted: list[bytes], data: st.DataObject) -> None:
    wanted += data.draw(st.lists(st.sampled_from(there))) if there else []
    ids = Packed(*pack(there))
    order = np.array(sorted(range(len(there)), key=there.__getitem__), dtype=np.uint32)
    found = find_ids(ids.blob, ids.offsets, order, pack(wanted)).tolist()
    assert found == [there.index(text) if text in there else -1 for text in wanted]
