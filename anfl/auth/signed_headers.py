"""Whether the headers of a signed request can be sent on at all, before Vault tries.

Vault tells a header that it cannot send in the words that it has for an STS that does not answer: a stranger's nonsense
would look like an outage, to the caller and to whoever reads the log.
"""

import base64
from typing import Annotated

import msgspec

_Name = Annotated[str, msgspec.Meta(pattern=r"\A[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")]
_Value = Annotated[str, msgspec.Meta(pattern=r"\A[\x20-\x7e]*\Z")] | int
_HEADERS = msgspec.json.Decoder(dict[_Name, _Value | list[_Value]])


def sendable(encoded: str) -> bool:
    """:param encoded: base64 of JSON, name → value or values, as Vault's aws method takes them."""
    try:
        _HEADERS.decode(base64.b64decode(encoded, validate=True))
    except (ValueError, msgspec.DecodeError):
        return False
    return True
