"""Who is present, whatever the clocks of the others say."""

from hypothesis import given
from hypothesis import strategies as st

from anfl.nodes.attendance import FORGOTTEN, Attendance

TIMEOUT = 15.0
A, B = "10.0.10.1:8080", "10.0.10.2:8080"


def test_a_node_is_present_until_its_beat_has_stayed_the_same_for_the_timeout() -> None:
    attendance = Attendance(timeout=TIMEOUT)
    attendance.observe({A: "1", B: "1"}, 0)
    attendance.observe({A: "2", B: "1"}, 10)
    assert attendance.present(14.9) == (A, B)
    assert attendance.present(15) == (A,)
    attendance.observe({A: "2", B: "7"}, 16)
    assert attendance.present(16) == (A, B)


def test_a_node_that_left_is_gone_at_once() -> None:
    attendance = Attendance(timeout=TIMEOUT)
    attendance.observe({A: "1", B: "1"}, 0)
    attendance.observe({A: "2"}, 1)
    assert attendance.present(1) == (A,)


def test_what_nobody_misses_is_forgotten_with_the_beat_that_was_seen() -> None:
    attendance = Attendance(timeout=TIMEOUT)
    for moment in range(0, 200, 5):
        attendance.observe({A: str(moment), B: "dead"}, moment)
    assert attendance.forgotten(FORGOTTEN * TIMEOUT - 1) == {}
    assert attendance.forgotten(FORGOTTEN * TIMEOUT) == {B: "dead"}


@given(st.lists(st.tuples(st.floats(0.1, 40), st.booleans(), st.booleans()), max_size=30))
def test_present_is_who_beat_within_the_timeout(steps: list[tuple[float, bool, bool]]) -> None:
    attendance = Attendance(timeout=TIMEOUT)
    now = 0.0
    beats, changed = {A: "0", B: "0"}, {A: 0.0, B: 0.0}
    attendance.observe(beats, now)
    for number, (wait, *beating) in enumerate(steps, 1):
        now += wait
        for address, beat in zip((A, B), beating, strict=True):
            if beat:
                beats[address], changed[address] = str(number), now
        attendance.observe(beats, now)
        assert attendance.present(now) == tuple(each for each in (A, B) if now - changed[each] < TIMEOUT)
