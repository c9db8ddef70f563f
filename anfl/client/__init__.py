"""HTTP client of ANFL's API."""

from anfl.client.errors import ApiError, ForeignAnswerError, UnreachableError, UnsendableError
from anfl.client.http import Client

__all__ = ["ApiError", "Client", "ForeignAnswerError", "UnreachableError", "UnsendableError"]
