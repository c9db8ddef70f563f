"""A process's settings, read once at start from environment variables into a typed, frozen struct."""

import os
from collections.abc import Mapping
from typing import TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)
V = TypeVar("V")


class MissingSettingError(RuntimeError):
    """A variable that the stacks always set is absent or malformed: the process must not start."""


def load(settings: type[T], environ: Mapping[str, str] = os.environ) -> T:
    """Read ``settings``, a frozen struct whose (renamed) fields are variable names; numbers are parsed from text.

    :raises MissingSettingError: naming the variable and what it should hold.
    """
    known = {field.encode_name for field in msgspec.structs.fields(settings)}
    try:
        return msgspec.convert({k: v for k, v in environ.items() if k in known}, settings, strict=False)
    except msgspec.ValidationError as error:
        raise MissingSettingError(f"environment variables for {settings.__name__}: {error}") from error


def parse(variable: str, text: str, kind: type[V]) -> V:
    """Read the JSON that a variable holds.

    :raises MissingSettingError: it holds something else.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise MissingSettingError(f"{variable}: {error}") from error
