"""Sixteen processes write to one model at once, over the embedded AWS."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

import boto3
import pytest

from anfl.problems import Problem
from anfl.registry.registry import Registry, build_registry
from local.aws.server import listen
from local.tables import create_table

TABLE, BUCKET = "registry", "artifacts"
WRITERS, VERSIONS_EACH = 16, 3
T = TypeVar("T")


def client(name: str, endpoint: str) -> Any:
    """A client with credentials of nobody."""
    return boto3.client(
        name,  # type: ignore[call-overload]
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def registry(endpoint: str) -> Registry:
    return build_registry(table=TABLE, dynamodb=client("dynamodb", endpoint), bucket=BUCKET, s3=client("s3", endpoint))


def write(endpoint: str, writer: int) -> list[int]:
    """Create versions, and fight over one alias; the numbers that this process was given."""
    mine = registry(endpoint)
    numbers = []
    for _ in range(VERSIONS_EACH):
        created = repeated(
            lambda: mine.versions.create(
                "acme", "bert", source="s3://b/m", location="s3://b/m", run_id=str(writer), by="ana"
            )
        )
        number = created.version.number
        numbers.append(number)
        repeated(lambda number=number: mine.aliases.set("acme", "bert", "champion", number, by="ana"))  # type: ignore[misc]
    return numbers


def repeated(call: Callable[[], T]) -> T:
    """As clients do who are told to come back: nothing was changed by what lost every race."""
    while True:
        try:
            return call()
        except Problem as problem:
            if problem.code != "temporarily_unavailable":
                raise


@pytest.fixture(name="endpoint")
def _endpoint() -> Iterator[str]:
    server = listen(0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_sixteen_processes_get_every_number_once_and_one_alias_wins(endpoint: str) -> None:
    create_table(client("dynamodb", endpoint), TABLE)
    mine = registry(endpoint)
    mine.models.create("acme", "bert", by="ana")
    with ProcessPoolExecutor(WRITERS, mp_context=get_context("spawn")) as pool:
        given = list(pool.map(write, [endpoint] * WRITERS, range(WRITERS)))
    assert sorted(number for numbers in given for number in numbers) == list(range(1, WRITERS * VERSIONS_EACH + 1))
    assert all(numbers == sorted(numbers) for numbers in given)
    model, latest = mine.models.get("acme", "bert")
    assert model.aliases["champion"] in {numbers[-1] for numbers in given}
    assert [version.number for version in latest] == [WRITERS * VERSIONS_EACH]
    written = mine.search.versions("acme", where="name = 'bert'", order_by=[], limit=100, token=None).versions
    assert {(of.version.number, of.version.run_id) for of in written} == {
        (number, str(writer)) for writer, numbers in enumerate(given) for number in numbers
    }
