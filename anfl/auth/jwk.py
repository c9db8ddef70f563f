"""Keys that others publish as JSON Web Keys (RFC 7517): any may be malformed, and must not take the others with it."""

import jwt


class UnreadableKeyError(ValueError):
    """It is no key that can be read here; the message says why."""


def read(jwk: object) -> jwt.PyJWK:
    """The key that ``jwk`` is.

    :raises UnreadableKeyError: it is none. PyJWT ends in many ways on what is malformed, not only by its own errors.
    """
    try:
        return jwt.PyJWK(jwk)  # type: ignore[arg-type]
    except (jwt.PyJWTError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError) as error:
        raise UnreadableKeyError(repr(error)) from error
