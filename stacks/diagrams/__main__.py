"""Draws into a page; see the package."""

import sys
from pathlib import Path

from stacks.diagrams.page import PageError, drawn
from stacks.figures.templates import AssemblyError, Templates


def main(arguments: list[str]) -> int:
    """Draw anew what the pages show; the exit status."""
    if len(arguments) < 2:
        sys.stderr.write("usage: python -m stacks.diagrams cdk.out PAGE.md...\n")
        return 2
    folder, *pages = map(Path, arguments)
    try:
        templates = Templates(folder)
        for page in pages:
            page.write_text(drawn(page.read_text(encoding="utf-8"), templates), encoding="utf-8")
    except (AssemblyError, PageError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
