"""Calls of AWS, counted and timed for every client of a session, retries included."""

import time
from http import HTTPStatus
from typing import Any

import boto3
from botocore.model import OperationModel

from anfl.telemetry.metrics import Metrics

_STARTED = "anfl_started"


def watch(session: boto3.session.Session, metrics: Metrics) -> boto3.session.Session:
    """``session``, whose clients made from now on are measured.

    Outcomes: ``ok``; ``refused``, an answer below 500 that is none of success (a condition that failed, a key that does
    not exist); ``failed``, no answer or another one.
    """

    def before(context: dict[str, Any], **_: object) -> None:
        context[_STARTED] = time.perf_counter()

    def note(context: dict[str, Any], event_name: str, outcome: str) -> None:
        # "after-call.s3.PutObject", "after-call-error.s3.PutObject"
        _, store, operation = event_name.split(".", 2)
        seconds = time.perf_counter() - context.get(_STARTED, time.perf_counter())
        metrics.called(store=store, operation=operation, outcome=outcome, seconds=seconds)

    def after(http_response: Any, model: OperationModel, context: dict[str, Any], event_name: str, **_: object) -> None:  # noqa: ANN401
        del model
        note(context, event_name, _outcome(int(http_response.status_code)))

    def failed(context: dict[str, Any], event_name: str, **_: object) -> None:
        note(context, event_name, "failed")

    session.events.register("before-call", before)
    session.events.register("after-call", after)
    session.events.register("after-call-error", failed)
    return session


def _outcome(status: int) -> str:
    if status < HTTPStatus.BAD_REQUEST:
        return "ok"
    return "refused" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "failed"
