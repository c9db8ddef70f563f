"""One HTTP request to AWS, read as far as IAM needs it."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec


@dataclass(kw_only=True)
class Request:
    """``service`` and ``region`` are those that the signature names."""

    service: str
    region: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: bytes = field(repr=False)
    """Empty where `whole` says that nobody needs it."""

    @property
    def operation(self) -> str:
        """Of the protocols that name one, in a header or in a form."""
        target = self.headers.get("x-amz-target", "")
        return target.rpartition(".")[2] if target else str(self.parameters.get("Action", ""))

    @functools.cached_property
    def parameters(self) -> Mapping[str, Any]:
        """Members of the operation's input."""
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return dict(parse_qsl(self.body.decode(), keep_blank_values=True))
        given = msgspec.json.decode(self.body) if self.body.startswith(b"{") else {}
        return given if isinstance(given, dict) else {}


def whole(service: str, method: str, query: Mapping[str, str]) -> bool:
    """Whether the body says what is asked for. Objects of S3, which may be large, do not."""
    return service != "s3" or "delete" in query or "replication" in query or (method == "POST" and not query)
