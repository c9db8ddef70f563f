"""Print the table of traps and their guards, as Markdown."""

import sys

from tests.infrastructure.traps.table import rows


def _main() -> None:
    lines = [("#", "trap", "guarded by", "why templates do not suffice"), ("---",) * 4, *rows()]
    sys.stdout.writelines(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    _main()
