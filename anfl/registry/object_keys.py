"""Where a path of the artefact store lies in its bucket, and what such a path may be."""

import re

from anfl.problems import Problem
from anfl.registry.errors import invalid_parameter
from anfl.registry.sources import fully_decoded

MAX_KEY_BYTES = 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\#\ufffe\uffff]")
"""What means something else to somebody, or cannot stand in XML, in which S3 lists and deletes."""


def object_key(tenant: str, path: str) -> str:
    """The object key of a path.

    :raises Problem: 400 where the path is absolute, climbs, or hides either behind percent-encoding.
    """
    decoded = fully_decoded(path)
    if decoded is None or _CONTROL.search(decoded) or _CONTROL.search(path):
        raise impossible_path()
    trimmed = path.rstrip("/")
    for candidate in (trimmed, decoded.rstrip("/")):
        if not candidate or any(segment in ("", ".", "..") for segment in candidate.split("/")):
            raise impossible_path()
    if re.match(r"[A-Za-z]:", decoded) or decoded.startswith("file:"):
        raise impossible_path()
    try:
        key = f"{tenant}/{trimmed}"
        too_long = len(key.encode()) > MAX_KEY_BYTES
    except UnicodeEncodeError:
        raise impossible_path() from None
    if too_long:
        raise invalid_parameter(f"'path' exceeds the maximum length of {MAX_KEY_BYTES} bytes", field="path")
    return key


def impossible_path() -> Problem:
    """400."""
    return invalid_parameter("Invalid path", field="path")
