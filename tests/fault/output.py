"""What the suite says while it runs: results on standard output, progress on standard error."""

import sys


def say(text: str) -> None:
    """A line of results."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def progress(text: str, *, done: bool = False) -> None:
    """A line that the next one overwrites."""
    sys.stderr.write(f"\r{text} " + ("\n" if done else ""))
    sys.stderr.flush()
