"""What a command of an operator can end with."""


class OperationError(Exception):
    """It cannot be done, or not gone on with; the message says why, and what to do."""


class RefusedError(OperationError):
    """Nothing was done, because it would do harm; the message says what stands against it."""
