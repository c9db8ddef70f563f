"""The bearer token of a request, read alike at every door: by API Gateway, its authorizer, functions and services."""

import re
from http import HTTPStatus

from anfl.problems import Problem

AUTHORIZATION = r"^[Bb]earer [A-Za-z0-9_.-]+$"
"""What an ``Authorization`` header must be: one space, as in RFC 6750, and the letters of a JWT.

API Gateway asks its authorizer about no other one (``identityValidationExpression``). Whoever took more than it does
would have the two ways in differ.
"""
_TOKEN = re.compile(AUTHORIZATION)
_BEFORE = len("Bearer ")


def bearer_token(*authorization: str) -> str:
    """The token in a request's ``Authorization`` headers, of which there must be one.

    :raises Problem: 401 ``token_missing``, ``token_ambiguous``: whoever decided by another header than its neighbour
        would be deceived.
    """
    if len(authorization) > 1:
        raise Problem(HTTPStatus.UNAUTHORIZED, "token_ambiguous", "Send one Authorization header, not several.")
    given = authorization[0] if authorization else ""
    if _TOKEN.fullmatch(given) is None:
        detail = "Send 'Authorization: Bearer <token>' with one space; POST /v1/auth/token gives one."
        raise Problem(HTTPStatus.UNAUTHORIZED, "token_missing", detail)
    return given[_BEFORE:]
