"""``python -m tests.benchmarks``."""

from tests.benchmarks.command import app

app(prog_name="python -m tests.benchmarks")
