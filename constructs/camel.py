"""Names as ids of constructs and statements are written."""

import re

_SEPARATORS = re.compile(r"[-._]")


def camel(name: str) -> str:
    """``VectorStore`` of ``vector-store``, ``EcrApi`` of ``ecr.api``, ``AccessDenied`` of ``ACCESS_DENIED``."""
    return "".join(part.capitalize() for part in _SEPARATORS.split(name))
