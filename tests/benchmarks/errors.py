"""Why something could not be measured."""


class BenchmarkError(RuntimeError):
    """The message says what is missing and what to do."""
