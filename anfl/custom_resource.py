"""The other side of a custom resource of CloudFormation: run something, and always answer."""

import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import requests

_log = logging.getLogger(__name__)

_TIMEOUTS = (5, 15)
_ATTEMPTS = 3
_LONGEST_REASON = 1000
"""Characters; a whole answer may have 4 KiB."""
_S3 = r"s3(?:[.-][a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?"

Event = Mapping[str, Any]


def answer(event: Event, act: Callable[[Event], None], *, physical_id: str) -> None:
    """Run ``act`` and tell CloudFormation how it ended. Raises nothing: Lambda would run all of it once more.

    :param physical_id: of the resource; a stable one, or CloudFormation deletes "the old one" after an update.
    """
    try:
        act(event)
    except Exception as error:
        _log.exception("failed", extra={"request": event.get("RequestType")})
        status, reason = "FAILED", f"{type(error).__name__}: {error}"
    else:
        status, reason = "SUCCESS", ""
    document = {
        "Status": status,
        "Reason": reason[:_LONGEST_REASON],
        "PhysicalResourceId": event.get("PhysicalResourceId") or physical_id,
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    if _is_cloudformations(url := str(event["ResponseURL"])):
        _send(url, json.dumps(document))
    else:  # from inside the network, a function is not to send what somebody says where somebody says
        _log.error(
            "the address for the answer is none of CloudFormation's", extra={"request": event.get("RequestType")}
        )


def _is_cloudformations(url: str) -> bool:
    """Whether CloudFormation takes answers there, AWS's or that of the AWS that the environment names instead.

    AWS's are pre-signed, in CloudFormation's own bucket of the region (its User Guide, "Custom resources",
    on access from a VPC). Anybody may make one that is called almost so.
    """
    if instead := os.environ.get("AWS_ENDPOINT_URL"):
        return url.startswith(f"{instead}/")
    bucket = f"cloudformation-custom-resource-response-{os.environ['AWS_REGION'].replace('-', '')}"
    return re.fullmatch(rf"https://(?:{bucket}\.{_S3}|{_S3}/{bucket})/\S*", url) is not None


def _send(url: str, body: str) -> None:
    """To the pre-signed address, which admits no content type."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            requests.put(url, data=body.encode(), headers={"Content-Type": ""}, timeout=_TIMEOUTS).raise_for_status()
        except requests.RequestException as error:
            # Neither its text nor its traceback: both show the address, and whoever has that may answer.
            status = None if error.response is None else error.response.status_code
            told = {"attempt": attempt, "error": type(error).__name__, "status": status}
            _log.error("CloudFormation does not take the answer", extra=told)
        else:
            return
