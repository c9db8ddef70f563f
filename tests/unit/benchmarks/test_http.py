"""What the benchmark over HTTP makes of its measurements."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.benchmarks import tables
from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.http import loading, wrk
from tests.benchmarks.http.figures import Filtered, HttpFigures, Memory, Round, verdicts
from tests.benchmarks.http.plot import draw

GOOD = HttpFigures(
    source="some",
    rows=1_000,
    dimension=8,
    k=10,
    connections=8,
    workers=2,
    recall=0.99,
    rounds=[Round(service=90.0, bare=100.0, raw=150.0)] * 3,
    one_connection=50.0,
    all_workers=[150.0, 160.0],
    one_worker=[100.0, 100.0],
    filtered=[
        Filtered(share=share, near=near, rate=30.0, recall=1.0, ratio=0.3)
        for share in loading.SHARES
        for near in (False, True)
    ],
    batch=900.0,
    raw_batch=1_000.0,
    load=70.0,
    raw_load=100.0,
    idle_p99=1.0,
    loading_p99=4.0,
    cold_seconds=1.0,
    memory=Memory(pss=200 * 10**6, index=10**6, processes=3),
)


def test_every_figure_of_the_requirements_has_a_verdict() -> None:
    found = verdicts(GOOD)
    assert len(found) == 4 + 12 + 6
    assert all(verdict.holds for verdict in found)
    assert {verdict.limit for verdict in found if verdict.measure.startswith("filter")} == {0.2, 0.3}


@pytest.mark.parametrize(
    ("change", "measure"),
    [
        ({"recall": 0.98}, "recall@10"),
        ({"rounds": [Round(service=80.0, bare=100.0, raw=100.0)]}, "one worker / bare handler"),
        ({"rounds": [Round(service=90.0, bare=100.0, raw=190.0)]}, "one worker / raw hnswlib"),
        ({"all_workers": [130.0, 130.0]}, "all workers / one worker"),
        ({"batch": 700.0}, "batch / raw batch"),
        ({"load": 50.0}, "load / raw add_items"),
        ({"loading_p99": 6.0}, "p99 loading / idle"),
        ({"cold_seconds": 2.0}, "cold load, seconds"),
        ({"memory": Memory(pss=10**9, index=10**6, processes=3)}, "memory / allowed"),
        (
            {"filtered": [Filtered(share=0.5, near=True, rate=1.0, recall=1.0, ratio=0.29)]},
            "filter 50% near / unfiltered",
        ),
        (
            {"filtered": [Filtered(share=0.2, near=False, rate=1.0, recall=0.98, ratio=0.2)]},
            "least recall with a filter",
        ),
    ],
)
def test_a_figure_beyond_its_limit_is_said(change: dict[str, object], measure: str) -> None:
    found = msgspec.structs.replace(GOOD, **change)
    assert [verdict.measure for verdict in verdicts(found) if not verdict.holds] == [measure]


def test_the_flags_match_as_many_rows_as_they_say() -> None:
    rows = np.random.default_rng(1).standard_normal((1_000, 8)).astype(np.float32)
    metadata, matching = loading.shares(rows)
    assert len(matching) == 2 * len(loading.SHARES)
    for (share, near), numbers in matching.items():
        name = loading.flag(share, near=near)
        assert len(numbers) == round(share * 1_000)
        assert [number for number, row in enumerate(metadata) if row.get(name)] == numbers
    spread = {near: np.linalg.norm(rows[matching[0.06, near]].mean(axis=0)) for near in (False, True)}
    assert spread[True] > 2 * spread[False]
    bodies = [json.loads(body) for body in loading.bodies(rows, metadata, prefix="x")]
    assert [row["id"] for row in bodies[0]["vectors"][:2]] == ["x0", "x1"]


def test_a_run_is_drawn_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(GOOD, tmp_path / "run.png")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    tables.show(GOOD)
    assert "one worker / bare handler" in capsys.readouterr().out


def test_without_wrk_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BenchmarkError, match="apt-get install wrk"):
        wrk.require()
