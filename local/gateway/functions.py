"""Invokes Lambda functions through the AWS API, as API Gateway does."""

import json
from typing import Any
from urllib.parse import quote

import aiohttp
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL


class FunctionFailedError(Exception):
    """The function ended with an error; ``message`` is its ``errorMessage``."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Functions:
    """The Lambda API of one region."""

    def __init__(self, session: aiohttp.ClientSession, *, endpoint: str, region: str) -> None:
        self._session = session
        self._endpoint = endpoint
        self._signer = SigV4Auth(Credentials("gateway", "gateway"), "lambda", region)

    async def invoke(self, function: str, event: object, *, timeout: float) -> Any:  # noqa: ANN401 - JSON
        """The function's result.

        :raises FunctionFailedError: it raised, ran out of time, or could not be invoked.
        :raises TimeoutError: no answer within ``timeout`` seconds.
        """
        url = f"{self._endpoint}/2015-03-31/functions/{quote(function, safe='')}/invocations"
        body = json.dumps(event).encode()
        request = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/json"})
        self._signer.add_auth(request)
        limit = aiohttp.ClientTimeout(total=timeout)
        target = URL(url, encoded=True)
        async with self._session.post(target, data=body, headers=dict(request.headers), timeout=limit) as response:
            content = await response.read()
            result = json.loads(content) if content else None
            if response.status >= 300 or "X-Amz-Function-Error" in response.headers:
                message = result.get("errorMessage") or result.get("message") if isinstance(result, dict) else None
                raise FunctionFailedError(str(message or f"status {response.status}"))
            return result
