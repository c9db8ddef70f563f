"""``make audit`` and ``make sbom`` as somebody runs them, with OSV's server on loopback, dying or absent."""

import json
import os
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from bundling.supply import __main__ as command
from bundling.supply import fetching
from bundling.supply.fetching import FRESH_SECONDS, fetched

BAD: dict[str, object] = {
    "id": "GHSA-1",
    "summary": "Bad.",
    "affected": [
        {
            "package": {"name": "httpx", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
        }
    ],
}


def write(file: Path, *advisories: dict[str, object]) -> bytes:
    file.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        for number, each in enumerate(advisories):
            archive.writestr(f"{number}.json", json.dumps(each))
    return file.read_bytes()


class Source:
    """OSV's server: ``whole`` or breaking off in the middle."""

    def __init__(self, content: bytes) -> None:
        source = self
        self.whole = True
        self.paths: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                source.paths.append(self.path)
                self.send_response(200)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content if source.whole else content[:10])

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture(name="source")
def _source(tmp_path: Path) -> Iterator[Source]:
    source = Source(write(tmp_path / "made" / "all.zip", BAD))
    thread = Thread(target=source.server.serve_forever)
    thread.start()
    yield source
    source.server.shutdown()
    source.server.server_close()
    thread.join()


@pytest.fixture(name="nobody")
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "fetched", lambda name, folder: fetched(name, folder, source="http://127.0.0.1:1"))


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(command._app, arguments)
    return result.exit_code, result.output


def test_an_archive_is_fetched_once_a_day_and_whole(source: Source, tmp_path: Path) -> None:
    folder = tmp_path / "osv"
    archive = fetched("pypi", folder, source=source.url)
    assert archive is not None
    assert fetched("pypi", folder, source=source.url)
    assert archive.age_seconds < 60
    assert source.paths == ["/PyPI/all.zip"]
    before = archive.file.read_bytes()
    old = archive.file.stat().st_mtime - FRESH_SECONDS - 1
    os.utime(archive.file, (old, old))
    source.whole = False
    archive = fetched("pypi", folder, source=source.url)
    assert archive is not None
    assert archive.age_seconds > FRESH_SECONDS
    assert archive.file.read_bytes() == before
    assert [file.name for file in folder.iterdir()] == ["pypi.zip"]
    assert fetching.fetched("npm", folder, source="http://127.0.0.1:1") is None


@pytest.mark.usefixtures("nobody")
def test_without_advisories_it_says_so_and_ends_with_a_status_of_its_own(tmp_path: Path) -> None:
    status, said = run("audit", "--advisories", str(tmp_path / "osv"))
    assert status == command.NOT_CHECKED
    assert "0 refused" in said
    assert "NOT CHECKED for pypi, npm" in said


@pytest.mark.usefixtures("nobody")
def test_what_is_wrong_is_named_wherever_it_is_used(tmp_path: Path) -> None:
    folder = tmp_path / "osv"
    write(folder / "pypi.zip", BAD)
    write(folder / "npm.zip")
    status, said = run("audit", "--advisories", str(folder))
    assert status == 1
    assert "service-vector-store: httpx" not in said
    assert "infrastructure: httpx " in said
    assert "GHSA-1 Bad." in said
    write(folder / "pypi.zip")
    assert run("audit", "--advisories", str(folder))[0] == 0
    (folder / "pypi.zip").write_bytes(b"nonsense")
    status, said = run("audit", "--advisories", str(folder))
    assert (status, "no archive of advisories" in said) == (1, True)


def test_lists_of_components_are_written(tmp_path: Path) -> None:
    status, said = run("sbom", "--folder", str(tmp_path / "sbom"))
    assert status == 0
    written = sorted((tmp_path / "sbom").iterdir())
    assert [file.name for file in written if file.name.startswith("service")] == [
        "service-model-registry.cdx.json",
        "service-vector-store.cdx.json",
    ]
    assert len(written) == len(said.splitlines())
