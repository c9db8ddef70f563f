"""``anfl models …`` of governance, against the service on loopback."""

import base64
import dataclasses
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from typer.testing import CliRunner, Result

from anfl.cli.main import app
from anfl.registry.registry import Registry
from services.model_registry.app import assemble
from tests.unit.registry.conftest import BUCKET, TABLE, items, past_the_registry
from tests.unit.registry.test_governance import People
from tests.unit.registry.test_models import version
from tests.unit.vectors.serving import served

Run = Callable[..., Result]
LARGE = 10_000_001
"""More bytes than the gateway passes."""


@pytest.fixture(name="run")
def _run(registry: Registry) -> Iterator[Run]:
    with served(assemble(registry, verifier=People())) as url:

        def run(*arguments: str, by: str = "root", role: str = "admin") -> Result:
            options = ("--endpoint", url, "--token", f"acme.{role}.{by}")
            return CliRunner().invoke(app, ["models", *arguments, *options])

        yield run


def document(result: Result) -> Any:
    return json.loads(result.stdout)


@pytest.fixture(name="bert")
def _bert(registry: Registry) -> Registry:
    registry.models.create("acme", "bert", by="ana")
    registry.models.describe("acme", "bert", "d", by="ben")
    registry.models.create("acme", "gone", by="ana")
    registry.models.delete("acme", "gone", by="ben")
    return registry


@pytest.mark.usefixtures("bert")
def test_the_audit_is_shown_and_verified(run: Run) -> None:
    shown = run("audit", "show", "bert")
    assert shown.exit_code == 0
    assert "ben" in shown.stdout
    assert "model.described" in shown.stdout
    verified = run("audit", "verify", "--json")
    assert verified.exit_code == 0
    assert run("audit", "verify", "bert").stdout.startswith("bert: holds, 2 entries; head 2:")
    chains = {chain["label"]: chain for chain in document(verified)["chains"]}
    assert {label: chain["entries"] for label, chain in chains.items()} == {
        "(no single model)": 0,
        "bert": 2,
        "gone": 2,
    }
    assert run("audit", "verify", "bert", "--head", chains["bert"]["head"]).exit_code == 0
    assert run("audit", "verify", "bert", "--head", "2:" + "0" * 64).exit_code == 1
    assert run("audit", "verify", "bert", "--head", "nonsense").exit_code != 0


def test_the_first_broken_link_is_named_and_fails_the_command(run: Run, bert: Registry, dynamodb: Any) -> None:
    page = bert.trails.of_model("acme", "bert")
    (row,) = (i for i in items(dynamodb) if i["pk"]["S"].endswith(page.chain) and i["sk"]["S"] == "000000000002")
    with past_the_registry(dynamodb):
        entry = row["entry"]["S"].replace('"by":"ben"', '"by":"eve"')
        dynamodb.put_item(TableName=TABLE, Item=row | {"entry": {"S": entry}})
    result = run("audit", "verify")
    assert result.exit_code == 1
    assert "bert: BROKEN at entry 2: altered" in result.stdout
    assert "compare the table with a copy" in result.stderr
    (broken,) = [c for c in document(run("audit", "verify", "--json"))["chains"] if c["broken"]]
    assert (broken["broken"]["chain"], broken["broken"]["sequence"]) == (page.chain, 2)


@pytest.mark.parametrize("comes", [False, True])
def test_an_entry_that_has_not_come_from_another_region_yet_is_waited_for(
    run: Run, bert: Registry, dynamodb: Any, monkeypatch: pytest.MonkeyPatch, comes: bool
) -> None:
    """Items of one change come one by one: the record that names the entry before the entry."""
    chain = bert.trails.of_model("acme", "bert").chain
    (row,) = (i for i in items(dynamodb) if i["pk"]["S"].endswith(chain) and i["sk"]["S"] == "000000000002")
    with past_the_registry(dynamodb):
        dynamodb.delete_item(TableName=TABLE, Key={name: row[name] for name in ("pk", "sk")})
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if comes:
            with past_the_registry(dynamodb):
                dynamodb.put_item(TableName=TABLE, Item=row)

    monkeypatch.setattr("anfl.cli.audit.time.sleep", wait)
    result = run("audit", "verify")
    assert (result.exit_code, len(waited)) == ((0, 1) if comes else (1, 3))
    assert sum(waited) <= 10
    assert ("bert: BROKEN at entry 2: missing" in result.stdout) is not comes


def test_people_ask_approve_and_set_policies(run: Run, bert: Registry) -> None:
    version(bert, "acme", "bert")
    assert run("policies", "set", "prod", "--require", "approved", "--approvals", "1").exit_code == 0
    assert "prod" in run("policies", "list").stdout
    asked = run("approvals", "request", "bert", "1", "prod", "--comment", "new", "--json", by="ana")
    request = document(asked)["id"]
    alone = run("approvals", "approve", "bert", request, by="ana")
    assert alone.exit_code != 0
    assert run("alias", "bert", "prod", "1").exit_code != 0
    approved = run("approvals", "approve", "bert", request, by="ben")
    assert "is APPROVED\n  asked by acme.ana, approved by acme.ben" in approved.stdout
    assert "acme.ben" in run("approvals", "list", "bert", "--status", "APPROVED").stdout
    assert run("alias", "bert", "prod", "1").exit_code == 0
    assert document(run("approvals", "reject", "bert", request, "--json", by="ben"))["status"] == "REJECTED"
    again = document(run("approvals", "request", "bert", "1", "prod", "--json", by="ana"))["id"]
    assert document(run("approvals", "withdraw", "bert", again, "--json", by="ana"))["status"] == "WITHDRAWN"
    assert run("policies", "delete", "prod").exit_code == 0
    assert document(run("policies", "list", "--json")) == {"policies": []}


@pytest.fixture(name="store")
def _store(registry: Registry, s3: Any) -> Iterator[dict[str, int]]:
    """The object store on loopback, behind the registry's links; it counts what it was asked by method."""
    asked: dict[str, int] = {}

    class Store(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            asked["PUT"] = asked.get("PUT", 0) + 1
            content = self.rfile.read(int(self.headers["content-length"]))
            wrong = self.headers["x-amz-checksum-sha256"] != base64.b64encode(hashlib.sha256(content).digest()).decode()
            if not wrong:
                s3.put_object(Bucket=BUCKET, Key=self._key(), Body=content)
            self._answer(b"", 400 if wrong else 200)

        def do_GET(self) -> None:
            asked["GET"] = asked.get("GET", 0) + 1
            self._answer(s3.get_object(Bucket=BUCKET, Key=self._key())["Body"].read())

        def _key(self) -> str:
            return unquote(urlsplit(self.path).path.lstrip("/").removeprefix(f"{BUCKET}/"))

        def _answer(self, content: bytes, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    objects = registry.artifacts
    here = f"http://127.0.0.1:{server.server_port}"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("link", "upload_link"):
            patch.setattr(objects, name, _moved(getattr(objects, name), here))
        yield asked
    server.shutdown()
    server.server_close()


def _moved(link: Callable[..., Any], here: str) -> Callable[..., Any]:
    """The same links, to another host."""

    def at(url: str) -> str:
        parts = urlsplit(url)
        return f"{here}{parts.path}?{parts.query}"

    def moved(*arguments: Any, **options: Any) -> Any:
        found = link(*arguments, **options)
        return at(found) if isinstance(found, str) else dataclasses.replace(found, url=at(found.url))

    return moved


def test_what_the_gateway_cannot_pass_goes_by_links_where_there_is_no_other_way(
    run: Run, store: dict[str, int], tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "large").write_bytes(b"x" * LARGE)
    (tmp_path / "model" / "small").write_bytes(b"y")
    registered = run("register", "bert", str(tmp_path / "model"), "--wait", "0")
    assert registered.exit_code == 0, registered.output
    assert store == {"PUT": 1}
    downloaded = run("download", "bert", "1", str(tmp_path / "copy"))
    assert downloaded.exit_code == 0, downloaded.output
    assert store == {"PUT": 1, "GET": 1}
    assert (tmp_path / "copy" / "large").read_bytes() == b"x" * LARGE
    assert (tmp_path / "copy" / "small").read_bytes() == b"y"


def test_what_came_by_a_link_and_is_not_what_was_registered_is_not_kept(
    run: Run, store: dict[str, int], s3: Any, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(b"x" * LARGE)
    assert run("register", "bert", str(tmp_path / "large"), "--wait", "0").exit_code == 0
    (key,) = [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"z" * LARGE)
    downloaded = run("download", "bert", "1", str(tmp_path / "copy"))
    assert downloaded.exit_code == 1
    assert "instead of" in str(downloaded.exception)
    assert store["GET"] == 1
    assert not [*(tmp_path / "copy").iterdir()]


@pytest.mark.parametrize("size", [1, LARGE])
@pytest.mark.parametrize("name", ["a?b#c%2f [red]é", "é" * 500, "e\u0301 \u202eltr\u200b", "\U0001f600" * 250])
def test_a_model_may_have_a_name_that_no_path_can_have(
    run: Run, store: dict[str, int], tmp_path: Path, size: int, name: str
) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"x" * size)
    registered = run("register", name, str(file), "--wait", "0")
    assert registered.exit_code == 0, registered.output
    assert store == ({} if size == 1 else {"PUT": 1})
    downloaded = run("download", name, "1", str(tmp_path / "copy"))
    assert downloaded.exit_code == 0, downloaded.output
    assert (tmp_path / "copy" / "weights").read_bytes() == b"x" * size


@pytest.mark.usefixtures("bert")
def test_a_version_that_is_no_number_is_told_as_such(run: Run) -> None:
    assert "must be an integer" in str(run("validation", "bert", "1?x").exception)


def test_what_cannot_be_verified_is_not_said_to_be_another_models(tmp_path: Path) -> None:
    """A signature that is not there, or a file that is no key, says nothing of the artefacts."""
    for name in ("model", "key.pub"):
        (tmp_path / name).write_text("text")
    model, key = str(tmp_path / "model"), str(tmp_path / "key.pub")
    for expected, arguments in {"no signature": (), "no public key that": ("--signature", model)}.items():
        result = CliRunner().invoke(app, ["models", "verify", model, "--key", key, *arguments])
        assert expected in str(result.exception)
        assert "NOT what was signed" not in result.output


def test_all_versions_are_shown_however_many_pages_they_take(
    run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anfl.registry.pages.MAX_PAGE_BYTES", 1000)
    registry.models.create("acme", "bert", by="ana")
    for _ in range(5):
        version(registry, "acme", "bert")
    shown = document(run("show", "bert", "--json"))["model_versions"]
    assert {one["version"] for one in shown} == {"1", "2", "3", "4", "5"}
