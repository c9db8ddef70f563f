"""Where the artefacts of a model are put by those who leave the place to us."""

import re

_IMPOSSIBLE = re.compile(r"[^\w. -]")
"""What means something in a URI, or nothing sensible in a path."""
_MAX_CHARACTERS = 100
"""At most 400 bytes, so that the names of files have room in a key of S3."""


def folder_of(name: str) -> str:
    """A folder of the artefact store. Two models may share it: what is put there has a name of its own."""
    return f"models/{_IMPOSSIBLE.sub('_', name[:_MAX_CHARACTERS])}"
