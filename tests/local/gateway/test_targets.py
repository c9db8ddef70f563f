"""Which of a group's targets gets a request."""

from contextlib import ExitStack

import pytest

from local.gateway.targets import OUT_SECONDS, Group, HealthCheck


def turn(group: Group) -> str:
    with group.take() as target:
        return target.url


def test_targets_take_turns_and_one_that_refuses_is_left_out_for_a_while() -> None:
    now = 0.0
    group = Group(["a", "b", "c"], now=lambda: now)
    assert [turn(group) for _ in range(6)] == ["a", "b", "c", "a", "b", "c"]
    group.refused(group.targets[1])
    assert {turn(group) for _ in range(6)} == {"a", "c"}
    now = OUT_SECONDS
    assert {turn(group) for _ in range(3)} == {"a", "b", "c"}


def test_where_every_target_has_refused_they_are_tried_all_the_same() -> None:
    group = Group(["a", "b"])
    for target in group.targets:
        group.refused(target)
    assert {turn(group) for _ in range(2)} == {"a", "b"}


def test_who_has_not_answered_yet_gets_nothing_while_others_have_less_to_do() -> None:
    group = Group(["a", "b", "c"])
    with group.take() as slow:
        others = {turn(group) for _ in range(6)}
    assert slow.url not in others
    assert {turn(group) for _ in range(3)} == {"a", "b", "c"}


def test_requests_at_the_same_time_are_spread() -> None:
    group = Group(["a", "b", "c"])
    with ExitStack() as under_way:
        taken = [under_way.enter_context(group.take()).url for _ in range(9)]
    assert [taken.count(url) for url in ("a", "b", "c")] == [3, 3, 3]


def test_a_target_is_left_out_after_failures_in_a_row_and_taken_back_after_answers_in_a_row() -> None:
    group = Group(["a", "b"], HealthCheck(healthy=2, unhealthy=3))
    ill = group.targets[0]
    checks = [False, False, True, False, False, False]
    assert [ill.checked(well=well) for well in checks] == [False] * 5 + [True]
    assert {turn(group) for _ in range(4)} == {"b"}
    assert [ill.checked(well=well) for well in (True, False, True, True)] == [False, False, False, True]
    assert {turn(group) for _ in range(2)} == {"a", "b"}


def test_where_no_target_is_well_all_are_tried() -> None:
    group = Group(["a", "b"], HealthCheck(unhealthy=1))
    for target in group.targets:
        target.checked(well=False)
    assert {turn(group) for _ in range(2)} == {"a", "b"}


def test_a_request_that_fails_is_under_way_no_longer() -> None:
    group = Group(["a"])
    with pytest.raises(ValueError, match="lost"), group.take():
        raise ValueError("lost")
    assert group.targets[0].outstanding == 0


def test_a_check_is_as_declared_else_as_the_load_balancer_has_it() -> None:
    declared = {"HealthCheckPath": "/ready", "HealthCheckIntervalSeconds": 10, "UnhealthyThresholdCount": 3}
    assert HealthCheck.declared(declared) == HealthCheck(path="/ready", interval=10, unhealthy=3)
