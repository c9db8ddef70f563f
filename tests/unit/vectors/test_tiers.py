"""When fresh rows go into a segment, and with which others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anfl.vectors.engine.tiers import FRESH_ROWS, GAIN, MOST_ADDED, SEGMENTS, Sizes, Step, next_step

SEGMENT = st.integers(1, 3_000_000).flatmap(lambda rows: st.builds(Sizes, st.just(rows), st.integers(1, rows)))


def whole(*rows: int) -> list[Sizes]:
    return [Sizes(count, count) for count in rows]


@pytest.mark.parametrize(
    ("segments", "fresh", "quiet", "expected"),
    [
        ([], 999, False, None),
        ([], 1_000, False, Step((), None)),
        (whole(1_000), 999, True, Step((0,), 0)),
        ([], 999, True, None),
        (whole(50_000), 390, True, None),
        (whole(50_000), 391, True, Step((0,), 0)),
        (whole(50_000), 0, True, None),
        (whole(50_000, 10_000), 0, False, None),
        (whole(50_000, 10_000), 0, True, Step((1, 0), 0)),
        (whole(1_000, 200_000, 100_000), 5, True, Step((0, 2, 1), 1)),
        (whole(1_000_000), 999, True, None),
        (whole(1_000_000, 2_000), 0, True, None),
        (whole(1_000), 1_000, False, Step((0,), 0)),
        (whole(50_000), 9_999, False, None),
        (whole(50_000), 10_000, False, Step((0,), 0)),
        (whole(50_000), 1_000, True, Step((0,), 0)),
        (whole(1_000_000), 10_000, False, Step((), None)),
        (whole(1_000_000, 10_000), 10_000, False, Step((1,), 1)),
        (whole(1_000_000, 10_000, 100_000), 10_000, False, Step((1, 2), 2)),
        ([Sizes(100, 69)], 0, False, Step((0,), None)),
        ([Sizes(100, 70)], 0, False, None),
        ([Sizes(50_000, 30_000), *whole(40_000)], 0, False, Step((0, 1), 1)),
    ],
)
def test_steps(segments: list[Sizes], fresh: int, quiet: bool, expected: Step | None) -> None:
    assert next_step(segments, fresh, quiet=quiet) == expected


@given(segments=st.lists(SEGMENT, max_size=8), fresh=st.integers(0, 50_000), quiet=st.booleans())
def test_after_a_step_nothing_is_due_and_segments_are_few(segments: list[Sizes], fresh: int, quiet: bool) -> None:
    step = next_step(segments, fresh, quiet=quiet)
    if step is None:
        assert fresh < FRESH_ROWS
        assert not any(segment.is_worn for segment in segments)
        return
    kept = [segment for number, segment in enumerate(segments) if number not in step.sources]
    added = min(fresh, MOST_ADDED)
    alive = added + sum(segments[number].alive for number in step.sources)
    dead = 0 if step.base is None else segments[step.base].rows - segments[step.base].alive
    after = [*kept, Sizes(alive + dead, alive)]
    assert next_step(after, 0, quiet=quiet) is None, "it would go on for ever"
    assert len(after) <= SEGMENTS
    assert step.base is None or step.base in step.sources


@given(batches=st.integers(1, 400))
def test_loading_copies_each_row_a_few_times_only(batches: int) -> None:
    segments: list[Sizes] = []
    copied = added = 0
    for _ in range(batches):
        step = next_step(segments, FRESH_ROWS)
        assert step is not None
        base = 0 if step.base is None else segments[step.base].rows
        gathered = FRESH_ROWS + sum(segments[number].rows for number in step.sources if number != step.base)
        copied, added = copied + base, added + gathered
        kept = [segment for number, segment in enumerate(segments) if number not in step.sources]
        segments = [*kept, Sizes(base + gathered, base + gathered)]
    assert copied <= GAIN * added
    assert added <= 3 * FRESH_ROWS * batches
