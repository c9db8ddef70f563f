"""The registry's inspection, run on this machine."""

from pathlib import Path
from typing import Any

import msgspec

from anfl.inspection.inspector import inspect_directory


def inspect_path(path: Path) -> dict[str, Any]:
    """The verdict on a file or folder, as the registry would report it."""
    document: dict[str, Any] = msgspec.to_builtins(inspect_directory(path))
    return document
