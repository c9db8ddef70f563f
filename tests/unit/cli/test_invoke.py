"""Invoking a function of the local run, whatever the user's AWS settings say."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

_MAIN = "from anfl.cli.main import main; main()"


class _Functions(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"status": 200, "result": self.path}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Iterator[Path]:
    """Where a local run's state stands; its embedded AWS answers every invocation."""
    server = HTTPServer(("127.0.0.1", 0), _Functions)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / ".anfl").mkdir()
    document = {"region": "us-west-1", "regions": {"us-west-1": {}}}
    document["aws_endpoint"] = f"http://127.0.0.1:{server.server_port}"
    (tmp_path / ".anfl" / "local.json").write_text(json.dumps(document))
    yield tmp_path
    server.shutdown()
    server.server_close()


def anfl(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    hostile = {
        "AWS_PROFILE": "absent",
        "AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "AWS_CA_BUNDLE": "/absent",
    }
    command = [sys.executable, "-c", _MAIN, "invoke", *arguments]
    return subprocess.run(
        command, cwd=folder, env=os.environ | hostile, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_users_aws_settings_change_nothing(folder: Path) -> None:
    done = anfl(folder, "auth", "{}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "anfl-dev-auth" in json.loads(done.stdout)["result"]


def test_an_unknown_region_names_those_that_run(folder: Path) -> None:
    done = anfl(folder, "auth", "{}", "--region", "nowhere-1")
    assert done.returncode == 2
    assert "us-west-1" in done.stderr
