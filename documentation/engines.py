"""``python -m documentation.engines``: writes into ``docs/engines.md`` what each engine offers."""

import re
from collections.abc import Iterator

from anfl.vectors.dynamodb.capabilities import Capability
from anfl.vectors.imports.operations import IMPORT_CALLS
from anfl.vectors.operations import OPERATIONS, STREAMS
from stacks.settings import ROOT

PAGE = ROOT / "docs" / "engines.md"
_PLACE = re.compile(r"<!-- capabilities -->\n.*?<!-- /capabilities -->", re.DOTALL)


def filled(page: str) -> str:
    """``page`` with the tables in their place.

    :raises ValueError: it has none.
    """
    tables = "\n".join([*_operations(), "", *_limits()])
    text, places = _PLACE.subn(lambda _: f"<!-- capabilities -->\n{tables}\n<!-- /capabilities -->", page)
    if places != 1:
        raise ValueError(f"{places} places for the tables; there is to be one")
    return text


def _operations() -> Iterator[str]:
    yield "| operation | `hnsw` | `dynamodb` |"
    yield "|---|---|---|"
    for call in (*OPERATIONS, *STREAMS, *IMPORT_CALLS):
        yield f"| `{call.name}` | ✓ | {_offered(call.name)} |"


def _offered(name: str) -> str:
    lacking = [each.value for each in Capability if name in each.value.operations]
    if any(limit.whole for limit in lacking):
        return "no"
    return f"✓ without {'; '.join(limit.what for limit in lacking)}" if lacking else "✓"


def _limits() -> Iterator[str]:
    yield "| 400 `not_supported_by_engine` | instead |"
    yield "|---|---|"
    for each in Capability:
        yield f"| {each.value.what} | {each.value.instead} |"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
