"""An AWS in memory for several threads: moto looks at conditions first and writes later, and of two both could win."""

import threading
from typing import Any

import pytest
from moto.dynamodb.responses import DynamoHandler
from moto.s3.responses import S3Response


def take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests to DynamoDB, and puts to S3, be served one at a time, as the embedded AWS does (`local.aws.server`).

    Between two of them anything may happen.
    """
    lock = threading.Lock()
    asked, put = DynamoHandler.call_action, S3Response.put_object

    def call_action(self: DynamoHandler) -> Any:
        with lock:
            return asked(self)

    def put_object(self: S3Response) -> Any:
        with lock:
            return put(self)

    monkeypatch.setattr(DynamoHandler, "call_action", call_action)
    monkeypatch.setattr(S3Response, "put_object", put_object)
