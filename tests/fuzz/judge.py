"""Sends requests, and says what is wrong with an answer."""

import random
import re
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from anfl.auth.principal import Role
from anfl.auth.rbac import GRANTS, action_for
from tests.fuzz.requests import OPEN, Attempt, any_attempt

SILENCE_SECONDS = 1.0
"""A server that waits for what a request announced may wait longer; that is no answer, and no fault."""
_AT_ONCE = 8
_FINAL = re.compile(rb"(?:HTTP/1\.1 1\d\d .*?\r\n\r\n)*HTTP/1\.1 ([2-5]\d\d) ", re.DOTALL)
"""A status behind those that only say "go on" (1xx), RFC 9110 section 15.2."""


def status_of(port: int, attempt: Attempt) -> int | None:
    """The answer's status; None where the server closes or waits instead."""
    answer = b""
    status = None
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=SILENCE_SECONDS) as connection:
            connection.sendall(attempt.raw())
            while status is None and (part := connection.recv(4096)):
                answer += part
                status = _FINAL.match(answer)
    except OSError:
        pass
    return None if status is None else int(status[1])


def fault(attempt: Attempt, status: int | None) -> str | None:
    """What is wrong: an error of the server, or a success that the table of access does not give; None for nothing."""
    if status is None or HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "an error of the server"
    if attempt.method == "OPTIONS":
        return None if status == HTTPStatus.NO_CONTENT else "OPTIONS did something"
    method = "GET" if attempt.method == "HEAD" else attempt.method
    paths = {attempt.path, attempt.path.removesuffix("/")}
    if any((method, path) in OPEN for path in paths):
        return None
    if attempt.role is None:
        return "an answer without a token"
    actions = {action_for(method, path) for path in paths} - {None}
    return None if actions & GRANTS[attempt.role] else "an answer that the role's table does not give"


def fuzz(
    port: int, *, seed: int, requests: int, tokens: Mapping[Role, str], names: Sequence[str]
) -> tuple[list[str], int]:
    """What was wrong, one line each; and how many requests were answered at all."""
    chance = random.Random(seed)
    attempts = [any_attempt(chance, tokens=tokens, names=names) for _ in range(requests)]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        statuses = list(threads.map(lambda attempt: status_of(port, attempt), attempts))
    faults = [
        f"{status}, {wrong}: {attempt.raw()[:400]!r}"
        for attempt, status in zip(attempts, statuses, strict=True)
        if (wrong := fault(attempt, status))
    ]
    return faults, sum(status is not None for status in statuses)
