"""``anfl models download``: what arrives is what was registered, or nothing."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import pytest

from anfl.cli.downloads import ARTIFACTS, Remote, Source, fetch, files_at, place_of, source
from anfl.cli.errors import CliError
from anfl.cli.target import Target
from anfl.client import Client

CONTENTS = {"m/1/weights": b"w" * 3_000_000, "m/1/sub/a b.txt": b"text"}
LISTINGS = {
    "m/1": [{"path": "sub", "is_dir": True}, {"path": "weights", "is_dir": False, "file_size": 3_000_000}],
    "m/1/sub": [{"path": "a b.txt", "is_dir": False, "file_size": 4}],
}


class Proxy(BaseHTTPRequestHandler):
    """As the service answers; ``damage`` says how not."""

    damage = ""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path.removeprefix(ARTIFACTS).strip("/"))
        if not path:
            listing = LISTINGS.get(parse_qs(url.query)["path"][0])
            return self._answer(msgspec.json.encode({"files": listing} if listing else {}), {})
        if path.endswith("/on its way"):
            return self._answer(b'{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "Ask again."}', {}, 503)
        if path not in CONTENTS:
            return self._answer(b"{}", {}, 404)
        content = CONTENTS[path]
        headers = {"x-anfl-sha256": hashlib.sha256(content).hexdigest()}
        return self._answer(b"x" + content[1:] if self.damage == "changed" else content, headers)

    def _answer(self, content: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in (
            {"content-length": str(len(content)), "content-type": "application/json"} | headers
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if self.damage == "short" else content)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(name="base")
def _base(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Proxy, "damage", "")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def at(file: Remote, base: str) -> Source:
    with Client(base, token="t") as client:
        return source(file, Target(endpoint=base, token="t", ingest=base), client)


def get(place: str, folder: Path, base: str) -> Path:
    file = Remote(place=place, relative=PurePosixPath(place).relative_to("m/1"), size=None)
    return fetch(file, folder, source=at(file, base), received=lambda _: None)


def test_a_folder_arrives_with_everything_below_it(base: str, tmp_path: Path) -> None:
    with Client(base, token="t") as client:
        files = files_at(client, "m/1")
    assert {str(file.relative): file.size for file in files} == {"weights": 3_000_000, "sub/a b.txt": 4}
    for file in files:
        written = fetch(file, tmp_path, source=at(file, base), received=lambda _: None)
        assert written.read_bytes() == CONTENTS[file.place]


def test_a_single_file_is_itself(base: str) -> None:
    with Client(base, token="t") as client:
        assert [str(file.relative) for file in files_at(client, "m/1/weights")] == ["weights"]


@pytest.mark.parametrize(("damage", "message"), [("changed", "instead of"), ("short", "did not arrive whole")])
def test_what_is_not_whole_leaves_nothing(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str, message: str
) -> None:
    monkeypatch.setattr(Proxy, "damage", damage)
    with pytest.raises(CliError, match=message):
        get("m/1/weights", tmp_path, base)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_said(base: str, tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"m/1/absent was not given: 404 Not Found$"):
        get("m/1/absent", tmp_path, base)


def test_what_another_region_has_and_this_one_not_yet_is_said(base: str, tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"m/1/on its way was not given: 503 Ask again\.$"):
        get("m/1/on its way", tmp_path, base)


def test_nothing_is_written_elsewhere(base: str, tmp_path: Path) -> None:
    file = Remote(place="m/1/x", relative=PurePosixPath("../x"), size=1)
    with pytest.raises(CliError, match="outside"):
        fetch(file, tmp_path, source=at(file, base), received=lambda _: None)


def test_places_are_read_from_download_uris() -> None:
    assert place_of(f"https://api.test/live{ARTIFACTS}/models/b%20e/1") == "models/b e/1"
    with pytest.raises(CliError, match="s3://bucket/x"):
        place_of("s3://bucket/x")
