"""What holds for every test."""

from anfl.start import settle


def pytest_collection_finish() -> None:
    """Tests decode in threads, as the programs do; all is imported by now."""
    settle()
