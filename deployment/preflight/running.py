"""Makes checks beside one another. Whatever happens in one, the others are made."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from deployment.preflight.account import AnswerError, CredentialsError, UnansweredError
from deployment.preflight.results import Check, Result, Verdict, not_checked

_WORKERS = 12

Progress = Callable[[int, int], None]
"""(checks made, checks in all)"""


def run(checks: Sequence[Check], *, progress: Progress | None = None) -> list[Result]:
    """The results in the order of ``checks``.

    :raises CredentialsError: AWS answers nothing to these credentials; no check can be made.
    """
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        futures = [pool.submit(_look, check) for check in checks]
        try:
            for made, future in enumerate(as_completed(futures), start=1):
                future.result()
                if progress:
                    progress(made, len(checks))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    verdicts = [future.result() for future in futures]
    return [
        Result(id=check.id, region=check.region, outcome=verdict.outcome, found=verdict.found, remedy=verdict.remedy)
        for check, verdict in zip(checks, verdicts, strict=True)
    ]


def _look(check: Check) -> Verdict:
    try:
        return check.look()
    except CredentialsError:
        raise
    except UnansweredError as error:
        return not_checked(str(error), error.remedy)
    except AnswerError as error:
        return not_checked(f"AWS answered {error}", "Run it again; if AWS answers the same, report it.")
    except Exception as error:  # a check must not take the others with it
        return not_checked(f"unexpected {type(error).__name__}: {error}", "Report it: this is a mistake of the check.")
