"""Starts the registry for tests in another environment: needs nothing but the standard library."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".venv" / "bin" / "python"


@dataclass(frozen=True, kw_only=True)
class Running:
    """A registry that runs."""

    url: str
    _commands: IO[str]
    _answers: IO[str]

    def set_time(self, milliseconds: int | None) -> None:
        """Stop the registry's clock at a moment; None: let it run again."""
        self._commands.write(json.dumps({"time": milliseconds}) + "\n")
        self._commands.flush()
        self._answers.readline()


@contextmanager
def running(*options: str) -> Iterator[Running]:
    """A registry that runs meanwhile; ``options`` as `local.registry` takes them."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MLFLOW_", "PY"))}
    with subprocess.Popen(  # noqa: S603 - this repository
        [PYTHON, "-m", "local.registry", *options],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        commands, answers = process.stdin, process.stdout
        assert commands is not None and answers is not None  # noqa: S101, PT018 - both are pipes
        try:
            yield Running(url=str(json.loads(answers.readline())["url"]), _commands=commands, _answers=answers)
        finally:
            commands.close()
            process.wait(20)


def new_token(role: str = "admin") -> str:
    """A token of a tenant that nobody used yet: with it comes an empty registry."""
    return f"t{uuid.uuid4().hex}.{role}"
