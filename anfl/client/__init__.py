"""HTTP client of ANFL's API."""

from anfl.client.errors import ApiError, UnreachableError
from anfl.client.http import Client

__all__ = ["ApiError", "Client", "UnreachableError"]
