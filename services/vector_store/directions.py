"""Whom to ask instead: a refusal that names another region names its address, too."""

from collections.abc import Mapping
from dataclasses import dataclass

from anfl.auth.principal import Principal
from anfl.http.answers import Response
from anfl.http.requests import Request
from anfl.http.service import Handler
from anfl.problems import Problem


@dataclass(frozen=True, kw_only=True)
class Directions:
    """By region, the base URL of its API.

    A refusal and no redirect (307): clients of HTTP follow one to another host without the token, and end at 401.
    """

    endpoints: Mapping[str, str]

    def around(self, handler: Handler) -> Handler:
        """``handler``, whose refusals with a ``home`` have an ``endpoint`` as well, where it has one."""

        async def handle(request: Request, principal: Principal) -> Response:
            try:
                return await handler(request, principal)
            except Problem as problem:
                endpoint = self.endpoints.get(str(problem.extensions.get("home")))
                if endpoint is not None:
                    problem.extensions["endpoint"] = endpoint
                raise

        return handle
