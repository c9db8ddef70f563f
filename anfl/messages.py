"""A batch of a queue's messages, as a Lambda function gets and answers it."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_log = logging.getLogger(__name__)
Message = Mapping[str, Any]


def one_by_one(messages: Iterable[Message], carry_out: Callable[[Message], None]) -> dict[str, Any]:
    """Carry out each message; returns which failed, as ``ReportBatchItemFailures`` takes it.

    Those return to the queue, and in the end to its dead letters. One that raises keeps none of the others from being
    carried out, or from being done with.
    """
    failed: list[dict[str, str]] = []
    for message in messages:
        message_id = str(message["messageId"])
        try:
            carry_out(message)
        except Exception as error:
            _log.exception("message failed", extra={"message_id": message_id, "reason": str(error)})
            failed.append({"itemIdentifier": message_id})
    return {"batchItemFailures": failed}
