"""A client of one region follows a collection to the region in which it is written."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest

from anfl.client import AsyncClient, Client, ConflictError, NotFoundError, UnreachableError, new_rows
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.store import VectorStore
from services.vector_store.app import assemble
from tests.unit.client.conftest import TOKEN, FaultyWay
from tests.unit.vectors.builders import storage
from tests.unit.vectors.importing import TABLE, Place
from tests.unit.vectors.serving import PlainTokens, served

HOME, NEAR = "us-east-1", "eu-west-1"
HOME_API, NEAR_API = f"https://{HOME}.api.example.org", "https://api.example.org"


@pytest.fixture(name="near_url")
def _near_url(session: boto3.session.Session, objects: S3ObjectStore, function_bytes: float, url: str) -> Iterator[str]:
    """Of another region than `url`'s, whose bucket has everything at once."""
    catalogue = Catalogue(session.resource("dynamodb").Table(TABLE))
    catalogue.region = NEAR
    store = VectorStore(catalogue, storage(objects, clock=Clock()))
    imports = Place(session, catalogue, store, function_bytes=function_bytes).imports
    with served(assemble(store, imports, verifier=PlainTokens(), endpoints={HOME: url})) as near:
        yield near


@pytest.fixture(name="near")
def _near(near_url: str, way: FaultyWay, client: Client) -> Iterator[Client]:
    client.create_collection("words", dimension=2, metric="l2").upsert(new_rows(["a"], [[0, 0]]))
    way.seen.clear()
    with Client(near_url, token=TOKEN, transport=way) as near:
        yield near


def asked(way: FaultyWay) -> list[str]:
    return [f"{request.url.scheme}://{request.url.netloc.decode()}" for request in way.seen]


def test_writes_and_strong_reads_follow_and_everything_after_them(
    near: Client, way: FaultyWay, url: str, near_url: str
) -> None:
    words = near.collection("words")
    assert words.count() == 1
    words.upsert(new_rows(["b"], [[1, 1]]))
    assert (words.count(consistency="strong"), [match.id for match in words.query([1, 1], k=1)]) == (2, ["b"])
    assert asked(way) == [near_url, near_url, url, url, url]
    assert all(request.headers["authorization"] == f"Bearer {TOKEN}" for request in way.seen)


@pytest.mark.usefixtures("door")
def test_an_import_goes_to_the_home_with_all_its_calls(
    near: Client, client: Client, way: FaultyWay, tmp_path: Path, url: str, near_url: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"id": "c", "values": [1, 0]}))
    begun = near.imports.begin("words", [path])
    near.imports.send(begun, [path])
    assert near.imports.start(begun.id).state == "RUNNING"
    assert asked(way) == [near_url, url, url, url]
    with Client(near_url, token=TOKEN) as another:
        assert another.imports.show(begun.id).state == "RUNNING"
        assert another.imports.redrive(begun.id).state == "RUNNING"
        assert another.homes.of(f"/v1/imports/{begun.id}") == url
    assert client.imports.show(begun.id).collection == "words"


def test_a_forgotten_name_is_asked_for_at_the_own_endpoint(near: Client, url: str) -> None:
    near.set_alias("w", "words")
    near.collection("w").upsert(new_rows(["b"], [[1, 1]]))
    assert near.homes.of("/v1/collections/w/query") == url
    near.set_alias("w", "words")
    assert near.homes.of("/v1/collections/w/query") is None


@pytest.mark.usefixtures("near")
def test_the_same_for_programs_that_do_something_else_meanwhile(near_url: str, url: str) -> None:
    async def run() -> int:
        async with AsyncClient(near_url, token=TOKEN) as client:
            words = client.collection("words")
            await words.upsert(new_rows(["b"], [[1, 1]]))
            assert client.homes.of("/v1/collections/words") == url
            return await words.count()

    assert asyncio.run(run()) == 2


def elsewhere(endpoint: object, *, status: int = 409) -> httpx.Response:
    document = {"code": "written_elsewhere", "detail": "ask there", "home": HOME}
    return httpx.Response(status, json=document | ({} if endpoint is None else {"endpoint": endpoint}))


@pytest.mark.parametrize("own", [NEAR_API, NEAR_API.replace("https", "HTTPS")])
@pytest.mark.parametrize(
    "endpoint",
    [
        None,
        "http://plain.example.org",
        "https:plain.example.org",
        "https://",
        "https://[::1",
        "https://someone@plain.example.org",
        {"of": HOME_API},
        [HOME_API],
        7,
    ],
)
def test_without_an_address_or_with_one_without_tls_it_is_a_refusal(endpoint: object, own: str, way: FaultyWay) -> None:
    way.faults = [elsewhere(endpoint)]
    with Client(own, token=TOKEN, transport=way) as near, pytest.raises(ConflictError) as caught:
        near.collection("words").upsert(new_rows(["b"], [[1, 1]]))
    assert (caught.value.code, len(way.seen)) == ("written_elsewhere", 1)


def test_only_the_refusal_of_what_is_written_elsewhere_leads_elsewhere(way: FaultyWay) -> None:
    way.faults = [elsewhere(HOME_API, status=404)]
    with Client(NEAR_API, token=TOKEN, transport=way) as near, pytest.raises(NotFoundError):
        near.collection("words").count()
    assert len(way.seen) == 1


def test_regions_that_point_at_each_other_end_in_a_refusal(way: FaultyWay) -> None:
    way.faults = [elsewhere(HOME_API), elsewhere(NEAR_API), elsewhere(HOME_API)]
    with Client(NEAR_API, token=TOKEN, transport=way) as near, pytest.raises(ConflictError):
        near.collection("words").upsert(new_rows(["b"], [[1, 1]]))
    assert asked(way) == [NEAR_API, HOME_API, NEAR_API]


def test_a_home_out_of_reach_is_said_and_what_was_copied_can_be_read(way: FaultyWay) -> None:
    counted = httpx.Response(200, json={"count": 1, "sequence": "1.1"})
    way.faults = [elsewhere(HOME_API), *["lost"] * 5, counted]
    with Client(NEAR_API, token=TOKEN, transport=way) as near:
        with pytest.raises(UnreachableError, match=HOME_API):
            near.collection("words").upsert(new_rows(["b"], [[1, 1]]))
        assert near.collection("words").count() == 1
    assert asked(way)[-1] == NEAR_API
