"""Functions run for real, within their limits, as their role."""

import base64
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import boto3
import psutil
import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError

from tests.local.aws.conftest import CANARY, REGION, Aws


def test_handler_runs_with_declared_environment_and_substituted_addresses(aws: Aws, function: str) -> None:
    report, error = aws.invoke(function, {"do": "report"})
    assert error is None
    assert report["env"]["KEPT"] == "as is"
    assert report["env"]["VAULT_ADDR"] == "http://127.0.0.1:8201"
    assert report["env"]["AWS_ENDPOINT_URL"] == aws.endpoint
    assert report["env"]["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == report["memory"] == "256"
    assert 0 < report["remaining"] <= 2000


def test_declared_size_of_the_temporary_storage(aws: Aws, function: str) -> None:
    configuration = aws.client("lambda").get_function_configuration(FunctionName=function)
    assert configuration["EphemeralStorage"] == {"Size": 1024}


def test_handler_sees_nothing_of_the_hosts_credentials_profiles_and_proxies(aws: Aws, function: str) -> None:
    report, _ = aws.invoke(function, {"do": "report"})
    assert CANARY not in json.dumps(report["env"])
    assert not {name for name in report["env"] if name.lower().endswith("_proxy")}


def test_handler_sees_only_its_bundle_and_the_runtimes_packages(aws: Aws, function: str) -> None:
    report, _ = aws.invoke(function, {"do": "report"})
    assert not [entry for entry in report["path"] if "site-packages" in entry]


def test_handler_acts_as_its_role(aws: Aws, function: str) -> None:
    report, _ = aws.invoke(function, {"do": "report"})
    assert report["arn"] == "arn:aws:sts::123456789012:assumed-role/probe-role/probe"


def test_signed_identity_request_can_be_replayed_by_somebody_else(aws: Aws, function: str) -> None:
    """As Vault does with the request that a function or service signs for ``sts.amazonaws.com``."""
    environment = aws.invoke(function, {"do": "report"})[0]["env"]
    session = boto3.session.Session(
        environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], environment["AWS_SESSION_TOKEN"]
    )
    body = "Action=GetCallerIdentity&Version=2011-06-15"
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", "Host": "sts.amazonaws.com"}
    signed = AWSRequest("POST", "https://sts.amazonaws.com/", data=body, headers=headers)
    credentials = session.get_credentials()
    assert credentials is not None
    SigV4Auth(credentials.get_frozen_credentials(), "sts", "us-east-1").add_auth(signed)
    answer = requests.post(aws.endpoint + "/", data=body, headers=dict(signed.headers), timeout=10)
    assert "<Arn>arn:aws:sts::123456789012:assumed-role/probe-role/probe</Arn>" in answer.text


def test_warm_worker_is_used_again(aws: Aws, function: str) -> None:
    first, _ = aws.invoke(function, {"do": "report"})
    second, _ = aws.invoke(function, {"do": "report"})
    assert (second["pid"], second["count"]) == (first["pid"], first["count"] + 1)


def test_concurrent_events_run_side_by_side(aws: Aws, function: str) -> None:
    with ThreadPoolExecutor(3) as threads:
        pids = list(threads.map(lambda _: aws.invoke(function, {"do": "sleep", "seconds": 1})[0], range(3)))
    assert len(set(pids)) == 3


def test_exception_is_the_callers_error_with_its_type_and_trace(aws: Aws, function: str) -> None:
    result, error = aws.invoke(function, {"do": "raise"})
    assert error == "Unhandled"
    assert (result["errorType"], result["errorMessage"]) == ("ValueError", "no such thing")
    assert "handler.py" in "".join(result["stackTrace"])


def test_timeout_ends_the_worker_and_the_next_event_gets_a_fresh_one(aws: Aws, function: str) -> None:
    before, _ = aws.invoke(function, {"do": "report"})
    started = time.monotonic()
    result, error = aws.invoke(function, {"do": "sleep", "seconds": 30})
    assert (error, result["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert "Task timed out after 2.00 seconds" in result["errorMessage"]
    assert 2 <= time.monotonic() - started < 5
    after, _ = aws.invoke(function, {"do": "report"})
    assert after["pid"] != before["pid"]
    assert not psutil.pid_exists(before["pid"])


def test_using_more_memory_than_declared_kills_the_worker(aws: Aws, function: str) -> None:
    result, error = aws.invoke(function, {"do": "allocate", "mb": 400})
    assert (error, result["errorType"]) == ("Unhandled", "Runtime.OutOfMemory")


def test_memory_that_is_only_reserved_does_not_count(aws: Aws, function: str) -> None:
    """Numerical libraries reserve address space by the gigabyte."""
    result, error = aws.invoke(function, {"do": "reserve", "mb": 2048})
    assert (error, result) == (None, 2048 * 1024 * 1024)


def test_crash_is_an_error_and_the_next_event_gets_a_fresh_worker(aws: Aws, function: str) -> None:
    result, error = aws.invoke(function, {"do": "exit"})
    assert error == "Unhandled"
    assert result["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in result["errorMessage"]
    assert aws.invoke(function, {}) == ({"ok": True}, None)


def test_handler_that_cannot_be_loaded_reports_why(aws: Aws, function: str) -> None:
    assert function
    result, error = aws.invoke("broken", {})
    assert error == "Unhandled"
    assert "cannot load" in result["errorMessage"]


def test_log_tail_holds_what_the_handler_wrote(aws: Aws, function: str) -> None:
    answer = aws.client("lambda").invoke(FunctionName=function, Payload=b'{"do": "print"}', LogType="Tail")
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert "said by the handler" in tail
    assert "REPORT RequestId" in tail


def test_response_above_the_quota_is_an_error(aws: Aws, function: str) -> None:
    result, error = aws.invoke(function, {"do": "large"})
    assert (error, result["errorType"]) == ("Unhandled", "Function.ResponseSizeTooLarge")


def test_event_invocation_is_accepted_at_once_and_runs(
    aws: Aws, function: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    event = {"Records": [{"body": '{"run": "async", "id": "a"}', "attributes": {"ApproximateReceiveCount": "1"}}]}
    answer = aws.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event))
    assert answer["StatusCode"] == 202
    key = {"pk": {"S": "async"}, "sk": {"S": "a#1"}}
    eventually(lambda: "Item" in aws.client("dynamodb").get_item(TableName="events", Key=key))


def test_unknown_function_and_malformed_event_are_refused_as_by_lambda(aws: Aws, function: str) -> None:
    client = aws.client("lambda")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.invoke(FunctionName="nobody", Payload=b"{}")
    with pytest.raises(ClientError, match="InvalidRequestContentException"):
        client.invoke(FunctionName=function, Payload=b"{")


def test_functions_are_found_by_arn(aws: Aws, function: str) -> None:
    arn = f"arn:aws:lambda:{REGION}:123456789012:function:{function}"
    assert aws.invoke(arn, {}) == ({"ok": True}, None)
