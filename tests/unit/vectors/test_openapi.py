"""The description: complete, as it is committed, true to its examples, and true under fire."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from openapi_spec_validator import validate

from anfl.vectors import replication
from anfl.vectors.imports.imports import Imports
from anfl.vectors.imports.operations import IMPORT_CALLS
from anfl.vectors.imports.requests import Uploads
from anfl.vectors.operations import OPERATIONS, STREAMS
from anfl.vectors.store import VectorStore
from services.vector_store.app import assemble
from services.vector_store.examples import CLEANING, EXAMPLES, PHOTOS
from services.vector_store.openapi import PLACE, document
from tests.unit.vectors.importing import Place
from tests.unit.vectors.serving import PlainTokens, served

CALLS = (*OPERATIONS, *IMPORT_CALLS, *STREAMS)
BY_NAME = {call.name: call for call in CALLS}
VARYING = {"created_at", "started_at", "bytes", "url"}
"""Members of answers that are others each time."""
EXAMPLES_A_PHASE = 8
"""Of schemathesis, for each operation: enough to notice, little enough for every run."""


def test_the_committed_description_is_the_served_one() -> None:
    assert json.loads(PLACE.read_text()) == json.loads(json.dumps(document())), "run 'make openapi'"


def test_it_is_openapi_3_1() -> None:
    validate(document())


def test_it_has_every_operation_with_an_example() -> None:
    described = {
        (method.upper(), path, operation["operationId"])
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
        if operation.get("security") != []
    }
    assert described == {(call.method, call.path, call.name) for call in CALLS}
    assert EXAMPLES.keys() == BY_NAME.keys()


def test_the_examples_work_one_after_another(
    store_with_a_class: VectorStore, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_with_a_class
    import_id = EXAMPLES["start_import"].answers[200]["id"]
    monkeypatch.setattr("anfl.vectors.imports.imports.new_id", lambda _now: import_id)
    monkeypatch.setattr(replication, "REPLICATION_SECONDS", 0.1)
    with (
        served(assemble(store, place.imports, verifier=PlainTokens())) as url,
        httpx.Client(base_url=url, headers={"authorization": "Bearer demo.admin"}) as client,
    ):
        for name, example in EXAMPLES.items():
            if name == "show_deletion":
                assert client.post("/v1/collections", json=PHOTOS).status_code == 201
                assert client.post("/v1/collections/photos/vectors/delete", json=CLEANING).status_code == 202
            if name == "move_collection":
                alias = {"alias": "pictures", "collection": "photos"}
                assert client.post("/v1/aliases", json=alias).status_code == 200
            call = BY_NAME[name]
            given = example.request or {}
            path = call.path.format(name=example.collection, **{member: given[member] for member in call.in_path})
            if not call.has_body:
                rest = {member: value for member, value in given.items() if member not in call.in_path}
                answer = client.request(call.method, path, params=_query(rest))
            else:
                answer = client.request(call.method, path, json=example.request)
            expected = example.answers.get(answer.status_code)
            assert expected is not None, (name, answer.status_code, answer.text)
            if isinstance(expected, str):
                assert answer.text == expected
            else:
                assert _timeless(answer.json()) == _timeless(expected), name
            if name == "create_import":
                uploads = msgspec.json.decode(answer.content, type=Uploads)
                place.upload(uploads, **{file.format: bytes(file.bytes) for file in uploads.files})


def _query(request: dict[str, Any]) -> dict[str, Any]:
    given = dict(request)
    if "filter" in given:
        given["filter"] = json.dumps(given["filter"])
    if "include" in given:
        given["include"] = ",".join(given["include"])
    return given


def _timeless(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: _timeless(value) for name, value in answer.items() if name not in VARYING}
    return [_timeless(item) for item in answer] if isinstance(answer, list) else answer


def test_no_answer_is_undocumented(store: VectorStore, imports: Imports, tmp_path: Path) -> None:
    """schemathesis, all phases. Left out is what a schema cannot say: which well-formed requests are wrong."""
    with served(assemble(store, imports, verifier=PlainTokens())) as url:
        command = [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{url}/v1/openapi.json",
            "--header=Authorization: Bearer demo.admin",
            "--phases=examples,coverage,fuzzing,stateful",
            f"--max-examples={EXAMPLES_A_PHASE}",
            "--checks=all",
            "--exclude-checks=positive_data_acceptance",
            "--continue-on-failure",
            "--generation-database=none",
            "--suppress-health-check=all",
            "--seed=1",
            "--no-color",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
