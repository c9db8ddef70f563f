"""TOKEN authorizers: one Lambda call a token and time to live, then the cached policy."""

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from local.gateway.functions import FunctionFailedError, Functions
from local.gateway.policy import Policy, PolicyError, compile_policy
from local.gateway.responses import Refusal, Refused

AUTHORIZER_TIMEOUT = 29.0
MAX_CACHED = 2_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the authorizer function said about a token."""

    policy: Policy
    context: Mapping[str, Any]
    until: float
    """Monotonic seconds until which it may be used."""


@dataclass(kw_only=True)
class TokenAuthorizer:
    """One declared authorizer and its cache."""

    function: str
    """ARN of the function."""
    header: str
    """Lower-case name of the identity source header."""
    seconds: int
    """Time to live of a result; 0 means no cache."""
    validation: re.Pattern[str] | None
    """What a token must look like to be worth a call."""
    _cache: dict[str, Verdict] = field(default_factory=dict)
    _running: dict[str, asyncio.Task[Verdict]] = field(default_factory=dict)

    async def authorize(self, functions: Functions, headers: Mapping[str, str], arn: str) -> Mapping[str, Any]:
        """``$context.authorizer`` for a request for the method ``arn``.

        :raises Refused: no token, not authorized, denied, or no verdict to be had.
        """
        token = headers.get(self.header, "")
        if not token or (self.validation is not None and not self.validation.match(token)):
            raise Refused(Refusal.UNAUTHORIZED)
        verdict = self._cache.get(token)
        if verdict is None or verdict.until <= time.monotonic():
            verdict = await self._ask(functions, token, arn)
        if not verdict.policy.allows(arn):
            raise Refused(Refusal.ACCESS_DENIED)
        return verdict.context

    async def _ask(self, functions: Functions, token: str, arn: str) -> Verdict:
        if self.seconds == 0:
            return await self._invoke(functions, token, arn)
        task = self._running.get(token)
        if task is None:
            task = asyncio.create_task(self._invoke(functions, token, arn))
            self._running[token] = task
            task.add_done_callback(lambda done: self._finished(token, done))
        return await asyncio.shield(task)

    def _finished(self, token: str, task: asyncio.Task[Verdict]) -> None:
        del self._running[token]
        if task.cancelled() or task.exception() is not None:
            return
        self._cache.pop(token, None)
        while len(self._cache) >= MAX_CACHED:
            del self._cache[next(iter(self._cache))]
        self._cache[token] = task.result()

    async def _invoke(self, functions: Functions, token: str, arn: str) -> Verdict:
        event = {"type": "TOKEN", "authorizationToken": token, "methodArn": arn}
        try:
            answer = await functions.invoke(self.function, event, timeout=AUTHORIZER_TIMEOUT)
        except FunctionFailedError as error:
            if error.message == "Unauthorized":
                raise Refused(Refusal.UNAUTHORIZED) from error
            raise Refused(Refusal.AUTHORIZER_FAILURE, error.message) from error
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            raise Refused(Refusal.AUTHORIZER_FAILURE, repr(error)) from error
        if not isinstance(answer, dict) or not answer.get("principalId"):
            raise Refused(Refusal.AUTHORIZER_CONFIGURATION_ERROR, "the authorizer returned no principalId")
        try:
            policy = compile_policy(answer.get("policyDocument"))
        except PolicyError as error:
            raise Refused(Refusal.AUTHORIZER_CONFIGURATION_ERROR, str(error)) from error
        context = {**(answer.get("context") or {}), "principalId": answer["principalId"]}
        if any(isinstance(value, dict | list) for value in context.values()):
            raise Refused(Refusal.AUTHORIZER_CONFIGURATION_ERROR, "context holds only strings, numbers and booleans")
        return Verdict(policy=policy, context=context, until=time.monotonic() + self.seconds)
