"""Of several conditional puts of one key at the same time one wins: the vector store's log rests on it."""

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from werkzeug.test import Client

from local.aws.server import Application

WRITERS = 8
KEYS = 150
HOST = "http://s3.us-east-1.amazonaws.com"
CREDENTIAL = "Credential=test/20260101/us-east-1/s3/aws4_request"
SIGNED = {"Authorization": f"AWS4-HMAC-SHA256 {CREDENTIAL}, SignedHeaders=host, Signature=none"}


@pytest.fixture(name="bucket")
def _bucket() -> Iterator[tuple[Client, str]]:
    """A bucket of moto in this process, whose threads are made to take turns as often as can be."""
    client, bucket = Client(Application()), f"bucket-{uuid4().hex}"
    assert client.put(f"/{bucket}", base_url=HOST, headers=SIGNED).status_code == 200
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield client, bucket
    sys.setswitchinterval(interval)


def test_one_of_many_conditional_puts_wins_and_stays(bucket: tuple[Client, str]) -> None:
    client, name = bucket
    start = threading.Barrier(WRITERS)

    def put(key: int, writer: int) -> int:
        start.wait(60)
        path = f"/{name}/slot{key}"
        return client.put(path, base_url=HOST, headers={**SIGNED, "If-None-Match": "*"}, data=str(writer)).status_code

    with ThreadPoolExecutor(WRITERS) as writers:
        for key in range(KEYS):
            answers = list(writers.map(put, [key] * WRITERS, range(WRITERS)))
            assert Counter(answers) == {200: 1, 412: WRITERS - 1}
            stands = client.get(f"/{name}/slot{key}", base_url=HOST, headers=SIGNED).get_data(as_text=True)
            assert stands == str(answers.index(200))
