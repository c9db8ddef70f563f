"""Commands of ``anfl`` against a service."""

import json
from typing import Any

from typer.testing import CliRunner, Result

from anfl.cli.main import app
from tests.unit.client.conftest import TOKEN


class Commands:
    """``anfl`` with these first words, at one address."""

    def __init__(self, url: str, *words: str) -> None:
        self._words = words
        self._where = ["--endpoint", url, "--token", TOKEN]

    def run(self, *arguments: object) -> Result:
        """Whatever comes of it."""
        return CliRunner().invoke(app, [*self._words, *map(str, arguments), *self._where])

    def text(self, *arguments: object, code: int = 0) -> str:
        """What a person reads."""
        done = self.run(*arguments)
        assert done.exit_code == code, (done.output, done.exception)
        return " ".join(done.stdout.split())

    def json(self, *arguments: object, code: int = 0) -> Any:
        """What a program reads."""
        return json.loads(self.text(*arguments, "--json", code=code))

    def fails(self, *arguments: object) -> str:
        """What a person reads of what is refused."""
        done = self.run(*arguments)
        assert done.exit_code != 0
        return " ".join((done.output + str(done.exception)).split())
