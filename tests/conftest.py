"""What holds for every test."""

import gc

from anfl.start import settle

RARELY = (100_000, 20, 50)
"""Garbage in cycles is looked for: what tests make is mostly kept until they end, so that a tenth of their time went by
without a find."""


def pytest_collection_finish() -> None:
    """Tests decode in threads, as the programs do; all is imported by now."""
    settle()
    gc.set_threshold(*RARELY)
