"""SQS. What needs which right to an encrypted queue's key: Developer Guide, "Amazon SQS key management"."""

from collections.abc import Mapping

from local.iam import deployed
from local.iam.calls import Call
from local.iam.errors import UnknownRequestError
from local.iam.requests.keys import through
from local.iam.requests.request import Request

_ACTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ChangeMessageVisibility": ("ChangeMessageVisibility", ()),
    "ChangeMessageVisibilityBatch": ("ChangeMessageVisibility", ()),
    "DeleteMessage": ("DeleteMessage", ()),
    "DeleteMessageBatch": ("DeleteMessage", ()),
    "GetQueueAttributes": ("GetQueueAttributes", ()),
    "GetQueueUrl": ("GetQueueUrl", ()),
    "ReceiveMessage": ("ReceiveMessage", ("Decrypt",)),
    "SendMessage": ("SendMessage", ("GenerateDataKey", "Decrypt")),
    "SendMessageBatch": ("SendMessage", ("GenerateDataKey", "Decrypt")),
}
"""Operation → action, and actions on the queue's key."""
POLLED = ("GetQueueAttributes", "ReceiveMessage", "DeleteMessage")
"""What Lambda does in the name of a function that gets its messages."""


def calls(request: Request) -> tuple[Call, ...]:
    """What an operation needs."""
    given = request.parameters
    name = str(given["QueueName"] if "QueueName" in given else given["QueueUrl"]).rpartition("/")[2]
    return of(request.operation, request.region, name)


def of(operation: str, region: str, queue: str) -> tuple[Call, ...]:
    """What an operation on a queue needs."""
    if operation not in _ACTIONS:
        raise UnknownRequestError(f"sqs:{operation}: add it to local/iam/requests/queues.py")
    action, on_key = _ACTIONS[operation]
    arn = f"arn:aws:sqs:{region}:{deployed.ACCOUNT}:{queue}"
    key = deployed.queue_key(region, queue) if on_key else None
    return (Call(action=f"sqs:{action}", resource=arn), *through("sqs", region, key, *on_key))
