"""Which calls, in IAM's terms, a request needs.

The actions of an operation are those of the Service Authorization Reference; an operation that stands in no table here
is refused, with the name of the table that lacks it.
"""

from collections.abc import Callable, Mapping

from local.iam.calls import Call
from local.iam.errors import UnknownRequestError
from local.iam.requests import dynamodb, others, queues, s3
from local.iam.requests.request import Request

_SERVICES: Mapping[str, Callable[[Request], tuple[Call, ...]]] = {
    "dynamodb": dynamodb.calls,
    "s3": s3.calls,
    "sqs": queues.calls,
    **others.SERVICES,
}
"""By the name of the service that a signature names."""


def calls(request: Request) -> tuple[Call, ...]:
    """Everything that the caller must be allowed; empty for what anybody may ask.

    :raises UnknownRequestError: no table has the request.
    """
    known = _SERVICES.get(request.service)
    if known is None:
        raise UnknownRequestError(f"service {request.service}: add it to local/iam/requests/others.py")
    return known(request)
