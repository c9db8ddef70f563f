"""Which of a group's targets gets a request."""

from local.gateway.balancer import OUT_SECONDS, Group


def test_targets_take_turns_and_one_that_refuses_is_left_out_for_a_while() -> None:
    now = 0.0
    group = Group(["a", "b", "c"], now=lambda: now)
    assert [group.next() for _ in range(6)] == ["a", "b", "c", "a", "b", "c"]
    group.refused("b")
    assert {group.next() for _ in range(6)} == {"a", "c"}
    now = OUT_SECONDS
    assert {group.next() for _ in range(3)} == {"a", "b", "c"}


def test_where_every_target_has_refused_they_are_tried_all_the_same() -> None:
    group = Group(["a", "b"])
    for target in ("a", "b"):
        group.refused(target)
    assert {group.next() for _ in range(2)} == {"a", "b"}
