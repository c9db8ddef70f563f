"""The JSON schema of a report: ``python -m anfl.inspection.schema`` prints it, ``docs/`` has it."""

import json
import sys
from typing import Any

import msgspec

from anfl.inspection.report import Report


def document() -> dict[str, Any]:
    """The schema (JSON Schema 2020-12)."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Report)}


def text() -> str:
    """The schema as it stands in the file."""
    return json.dumps(document(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
