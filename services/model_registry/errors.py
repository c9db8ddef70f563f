"""Renders problems: MLflow's form on MLflow's paths, problem documents elsewhere."""

from anfl.http.answers import Response, json_response, problem_response
from anfl.problems import Problem
from anfl.registry.errors import mlflow_members

MLFLOW_PREFIXES = ("/api/2.0/", "/ajax-api/2.0/")


def render(problem: Problem, path: str) -> Response:
    """``problem`` in the form that clients of ``path`` expect."""
    if not path.startswith(MLFLOW_PREFIXES):
        return problem_response(problem)
    where = {name: problem.extensions[name] for name in ("home", "endpoint") if name in problem.extensions}
    response = json_response(mlflow_members(problem) | where, problem.status)
    for name, value in problem.headers().items():
        if name != "content-type":
            response.raw_headers.append((name.encode(), value.encode("latin-1")))
    return response
