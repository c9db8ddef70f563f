"""What is inside a process at once, against a count of it."""

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anfl.http.admission import Admission, Inside, Room
from anfl.problems import Problem

ROOM = Room(requests=4, body_bytes=100)
TENANTS = st.sampled_from(["acme", "other"])
SIZES = st.integers(0, 120)
STEPS = st.lists(st.tuples(st.sampled_from(["enter", "grow", "leave"]), TENANTS, SIZES, st.integers(0, 9)), max_size=40)


@given(STEPS)
def test_no_more_is_inside_than_there_is_room_for_and_a_tenant_leaves_a_quarter(
    steps: list[tuple[str, str, int, int]],
) -> None:
    admission = Admission(ROOM)
    inside: list[tuple[Inside, str, list[int]]] = []
    for step, tenant, size, which in steps:
        sizes = {of: [counted[0] for _, owner, counted in inside if owner == of] for of in ("acme", "other")}
        total, requests = sum(map(sum, sizes.values())), len(inside)
        if step == "enter":
            own = sizes[tenant]
            fits = requests < 4 and total + size <= 100 and (not own or (len(own) < 3 and sum(own) + size <= 75))
            assert admission.has_room(tenant, size) is fits
            entering = admission.admitted(tenant, size)
            if fits:
                inside.append((entering.__enter__(), tenant, [size]))
            else:
                with pytest.raises(Problem), entering:
                    pass
        elif inside:
            entered, owner, counted = inside[which % len(inside)]
            if step == "leave":
                entered.__exit__(None, None, None)
                inside.remove((entered, owner, counted))
            else:
                own = sizes[owner]
                if total + size <= 100 and (len(own) == 1 or sum(own) + size <= 75):
                    entered.claim(size)
                    counted[0] += size
                else:
                    with pytest.raises(Problem):
                        entered.claim(size)
    for entered, _, _ in inside:
        entered.__exit__(None, None, None)
    with ExitStack() as stack:  # and nothing stays counted
        for tenant in ("acme", "acme", "acme", "other"):
            stack.enter_context(admission.admitted(tenant, 25))
