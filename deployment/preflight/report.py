"""Results as lines for people, and as a document for scripts."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from deployment.preflight.plan import Caller
from deployment.preflight.results import Outcome, Result, passes
from deployment.rollout import Rollout

_MARKS = {Outcome.OK: "✓", Outcome.WARNING: "!", Outcome.FAILED: "✗", Outcome.NOT_CHECKED: "?"}


def lines(results: Sequence[Result]) -> Iterator[str]:
    """One line a check, what to do below it, and a sum at the end; what must be looked at comes last, to be seen."""
    width = max((len(result.id) for result in results), default=0)
    for result in sorted(results, key=lambda result: list(Outcome).index(result.outcome)):
        yield f"{_MARKS[result.outcome]} {result.id:{width}}  {_said(result)}"
        if result.remedy:
            yield f"  {'':{width}}  → {result.remedy}"
    counts = Counter(result.outcome for result in results)
    yield f"{len(results)} checks: " + ", ".join(
        f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome]
    )


def _said(result: Result) -> str:
    return result.found if result.outcome is not Outcome.NOT_CHECKED else f"not checked: {result.found}"


def document(rollout: Rollout, caller: Caller | None, results: Sequence[Result]) -> dict[str, Any]:
    """Everything; ``passed`` is what the exit code says."""
    return {
        "environment": rollout.settings.environment,
        "regions": list(rollout.regions),
        "account": caller.account if caller else None,
        "passed": passes(results),
        "checks": [
            {
                "id": result.id,
                "region": result.region,
                "result": result.outcome.value,
                "found": result.found,
                "remedy": result.remedy or None,
            }
            for result in results
        ],
    }
