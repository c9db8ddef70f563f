"""Both functions by direct invocation, as ``aws lambda invoke`` does it."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local import sample
from tests.local.end_to_end.running import Run


@pytest.fixture
def invoke(run: Run) -> Callable[[str, dict[str, Any]], Any]:
    client = boto3.session.Session().client(
        "lambda",
        endpoint_url=run.document["aws_endpoint"],
        region_name=run.document["region"],
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(proxies={}, read_timeout=120, retries={"total_max_attempts": 1}),
    )

    def call(function: str, event: dict[str, Any]) -> Any:
        name = f"anfl-{run.document['environment']}-{function}"
        response: Any = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
        payload = json.loads(response["Payload"].read())
        assert "FunctionError" not in response, payload
        return payload

    return call


def test_vector_processing(invoke: Any) -> None:
    answer = invoke(
        "vector-processing", {"operation": "query", "collection": sample.COLLECTION, "id": "happiness", "k": 2}
    )

    assert [match["id"] for match in answer["matches"]] == ["joy", "contentment"]


def test_model_validation(invoke: Any) -> None:
    answer = invoke("model-validation", {"operation": "validate", "name": "absent", "version": "1"})

    assert answer["status"] == 404, answer
