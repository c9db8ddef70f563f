"""What may be used, and what is known and accepted: `policy.yaml` beside this file."""

from datetime import date
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field

_FILE = Path(__file__).with_name("policy.yaml")
_Words = Annotated[str, Field(min_length=10)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Named(_Strict):
    """A licence that a package's metadata does not say, or says in words of its own."""

    licence: str
    because: _Words


class Licences(_Strict):
    """By SPDX's names."""

    shipped: frozenset[str]
    tools: frozenset[str]
    """Beside those, of what is not shipped."""
    named: dict[str, Named]


class Accepted(_Strict):
    """Something wrong that is known, for a while."""

    package: str
    until: date
    because: _Words


class Policy(_Strict):
    """The whole file."""

    licences: Licences
    accepted: dict[str, Accepted]
    """By the id of the advisory."""

    @classmethod
    def load(cls, file: Path = _FILE) -> Self:
        """Read it.

        :raises pydantic.ValidationError: it is not as described here.
        """
        return cls.model_validate(yaml.safe_load(file.read_text()))
