"""Problems go wherever exceptions go."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from anfl.problems import Problem


def test_a_problem_comes_out_of_another_process_as_it_was() -> None:
    problem = Problem(409, "taken", "it is taken", field="name", extensions={"by": "ana"}, retry_after=2)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool, pytest.raises(Problem) as caught:
        pool.submit(refuse, problem).result(timeout=60)
    assert str(caught.value) == str(problem)
    assert {name: vars(caught.value)[name] for name in vars(problem)} == vars(problem)


def refuse(problem: Problem) -> None:
    """In the other process."""
    raise problem
