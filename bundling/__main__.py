"""``make bundle``: build what is missing, one line a function."""

import sys
import time

from rich.console import Console

from anfl.resources import Caretaker, Function
from bundling import bytecode
from bundling.build import build
from bundling.errors import BundlingError
from bundling.functions import bundle_for


def main() -> int:
    """Build every function's bundle; 1 where one fails."""
    console = Console(highlight=False, markup=False)
    if note := bytecode.skipped():
        console.print(note)
    for function in (*Function, *Caretaker):
        bundle = bundle_for(function)
        started = time.monotonic()
        try:
            with console.status(f"bundling {function} …"):
                new = build(bundle)
        except (BundlingError, OSError) as error:
            console.print(f"{function}: {error}")
            return 1
        except KeyboardInterrupt:
            console.print(f"{function}: interrupted; what was finished stays.")
            return 130
        size = bundle.archive.stat().st_size / 1e6
        done = f"built in {time.monotonic() - started:.0f} s" if new else "nothing has changed"
        console.print(f"{function}: {done}, {size:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
