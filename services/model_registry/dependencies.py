"""What callers hear where DynamoDB, S3 or SQS does not answer, or wants to be asked more slowly: 503, try again.

And for whom threads are taken, until the answer is sent (`anfl.http.shared_threads`).
"""

from collections.abc import Mapping
from functools import wraps
from http import HTTPStatus

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError
from starlette.requests import Request

from anfl.auth.principal import Principal
from anfl.http.adapters import StarletteHandler
from anfl.http.answers import Response
from anfl.http.shared_threads import TENANT
from anfl.problems import Problem, unavailable

_SLOWER = frozenset(
    {
        "InternalError",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
    }
)


def answering(handlers: Mapping[tuple[str, str], StarletteHandler]) -> dict[tuple[str, str], StarletteHandler]:
    """The same ``handlers``, which raise 503 ``store_unavailable`` for a failure of what stands behind them."""
    return {route: _answering(handler) for route, handler in handlers.items()}


def _answering(handler: StarletteHandler) -> StarletteHandler:
    @wraps(handler)
    async def handle(request: Request, principal: Principal) -> Response:
        TENANT.set(principal.tenant)
        try:
            return await handler(request, principal)
        except (HTTPClientError, NoConnectionError) as error:
            raise _unanswered() from error
        except ClientError as error:
            if not _passes(error):
                raise
            raise _unanswered() from error

    return handle


def _unanswered() -> Problem:
    detail = "A store of the registry does not answer. A change may have been made or not: look, or ask for it again."
    return unavailable(detail, code="store_unavailable")


def _passes(error: ClientError) -> bool:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.response["Error"]["Code"] in _SLOWER
