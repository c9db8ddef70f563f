"""Why a log cannot be followed any further."""

from anfl.problems import Problem


class CorruptLogError(Problem):
    """An object of the log that is not what its key says. Readers stop before it; nothing is skipped."""

    def __init__(self, key: str, reason: str) -> None:
        detail = "The collection's log is damaged: it can be read as far as it is whole, and not be written to."
        super().__init__(503, "log_corrupt", detail, retry_after=60)
        self.key = key
        self.reason = reason


class LogGapError(Problem):
    """Later slots are taken and this one is not: it has yet to arrive, or a snapshot has taken its place."""

    def __init__(self, key: str) -> None:
        detail = "A part of the collection's log has not arrived here; what comes before it can be read."
        super().__init__(503, "log_gap", detail, retry_after=5)
        self.key = key
