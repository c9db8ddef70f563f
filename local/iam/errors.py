"""What cannot be evaluated is refused, and said."""


class UnsupportedError(ValueError):
    """A policy says something that this evaluator does not know; nothing is allowed on its strength."""


class UnknownRequestError(ValueError):
    """No table says which actions a request needs."""
