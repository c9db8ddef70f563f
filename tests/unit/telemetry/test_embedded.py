"""Lines of a function's log that CloudWatch reads as metrics."""

import json
from typing import Any

import pytest

from anfl.problems import Problem
from anfl.resources import Function
from anfl.telemetry import embedded


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one that was written."""
    (text,) = capsys.readouterr().out.splitlines()
    return dict(json.loads(text))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "ok"),
        (Problem(404, "collection_not_found", "no"), "refused"),
        (Problem(503, "store_unavailable", "no"), "failed"),
        (RuntimeError("no"), "failed"),
    ],
)
def test_a_call_is_counted_by_what_came_of_it(
    capsys: pytest.CaptureFixture[str], error: Exception | None, outcome: str
) -> None:
    def work() -> None:
        with embedded.call(Function.AUTH) as call:
            call.operation = "GET /v1/auth/whoami"
            if error is not None:
                raise error

    if error is None:
        work()
    else:
        with pytest.raises(type(error)):
            work()
    written = line(capsys)
    assert (written["Function"], written["Operation"], written["Outcome"]) == ("auth", "GET /v1/auth/whoami", outcome)
    assert written["Calls"] == 1
    assert written["CallTime"] >= 0


def test_the_line_is_of_the_embedded_metric_format(capsys: pytest.CaptureFixture[str]) -> None:
    """What its specification demands: every dimension and metric is a member of the line, of the right type."""
    with embedded.call(Function.AUTHORIZER):
        pass
    written = line(capsys)
    assert isinstance(written["_aws"]["Timestamp"], int)
    (directive,) = written["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "ANFL"
    for dimensions in directive["Dimensions"]:
        assert len(dimensions) <= 30
        assert all(isinstance(written[name], str) and written[name] for name in dimensions)
    for metric in directive["Metrics"]:
        assert isinstance(written[metric["Name"]], int | float)
        assert metric["Unit"] in {"Count", "Milliseconds"}


def test_what_nobody_recognised_has_one_name(capsys: pytest.CaptureFixture[str]) -> None:
    with embedded.call(Function.VECTOR_PROCESSING):
        pass
    assert line(capsys)["Operation"] == "unknown"
