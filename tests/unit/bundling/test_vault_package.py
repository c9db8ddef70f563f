"""HashiCorp's package in the account's registry: as nodes look for it, whole, and once."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.stub import Stubber

from bundling.errors import BundlingError
from bundling.registry import Registry
from bundling.sources import ROOT
from bundling.vault_package import mirror

HOST = "123456789012.dkr.ecr.us-west-1.amazonaws.com"
FILES = {"vault.rpm": b"a package", "hashicorp.asc": b"a key"}
PART = 4
UPLOAD = "12345678-1234-1234-1234-123456789012"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Ecr:
    """The registry's client, with answers checked against its model; keeps the manifest that is put."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, there: bool = False, known: bytes | None = None) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        self.client = boto3.client("ecr", region_name="us-west-1")
        self.stub = Stubber(self.client)
        self.manifest: dict[str, Any] = {}
        self.stub.add_client_error("create_repository", "RepositoryAlreadyExistsException")
        if there:
            self.stub.add_response("describe_images", {"imageDetails": []})
        else:
            self.stub.add_client_error("describe_images", "ImageNotFoundException")
            for content in (*FILES.values(), b"{}"):
                self._layer(content, known=content == known)
            self.stub.add_response("put_image", {})
        self.stub.activate()
        self.client.meta.events.register("provide-client-params.ecr.PutImage", self._keep)

    def _keep(self, params: dict[str, Any], **_: object) -> None:
        self.manifest = json.loads(params["imageManifest"])

    def _layer(self, content: bytes, *, known: bool) -> None:
        repository = {"repositoryName": "anfl-vault"}
        self.stub.add_response("initiate_layer_upload", {"uploadId": UPLOAD, "partSize": PART}, repository)
        for first in range(0, len(content), PART):
            part = content[first : first + PART]
            asked = {"partFirstByte": first, "partLastByte": first + len(part) - 1, "layerPartBlob": part}
            self.stub.add_response("upload_layer_part", {}, {**repository, "uploadId": UPLOAD, **asked})
        if known:
            self.stub.add_client_error("complete_layer_upload", "LayerAlreadyExistsException")
        else:
            asked = {"uploadId": UPLOAD, "layerDigests": [digest(content)]}
            self.stub.add_response("complete_layer_upload", {}, {**repository, **asked})


@pytest.fixture
def hashicorp(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    def get(url: str, **_: object) -> requests.Response:
        asked.append(url)
        answer = requests.Response()
        answer.status_code = 200
        answer._content = FILES["hashicorp.asc" if url.endswith("/gpg") else "vault.rpm"]
        return answer

    monkeypatch.setattr(requests, "get", get)
    return asked


def test_a_release_is_copied_with_the_key_that_signed_it(monkeypatch: pytest.MonkeyPatch, hashicorp: list[str]) -> None:
    ecr = Ecr(monkeypatch)
    assert mirror("1.2.3", Registry(HOST, client=ecr.client))
    ecr.stub.assert_no_pending_responses()
    package, key = ecr.manifest["layers"]
    assert package["annotations"] == {"org.opencontainers.image.title": "vault.rpm"}
    assert (package["digest"], package["size"]) == (digest(b"a package"), 9)
    assert key["annotations"] == {"org.opencontainers.image.title": "hashicorp.asc"}
    assert ecr.manifest["config"]["digest"] == digest(b"{}")
    assert hashicorp[0].endswith("/vault-1.2.3-1.x86_64.rpm")


def test_a_layer_that_is_there_from_another_attempt_is_no_error(
    monkeypatch: pytest.MonkeyPatch, hashicorp: list[str]
) -> None:
    ecr = Ecr(monkeypatch, known=FILES["vault.rpm"])
    assert mirror("1.2.3", Registry(HOST, client=ecr.client))
    assert len(hashicorp) == 2


def test_a_release_that_is_there_is_not_asked_for(monkeypatch: pytest.MonkeyPatch, hashicorp: list[str]) -> None:
    assert not mirror("1.2.3", Registry(HOST, client=Ecr(monkeypatch, there=True).client))
    assert hashicorp == []


def test_a_release_that_hashicorp_does_not_have_is_said_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(url: str, **_: object) -> requests.Response:
        answer = requests.Response()
        answer.status_code, answer.url = 404, url
        return answer

    monkeypatch.setattr(requests, "get", missing)
    ecr = Ecr(monkeypatch)
    with pytest.raises(BundlingError, match=r"vault-9\.9\.9-1\.x86_64\.rpm does not come: 404"):
        mirror("9.9.9", Registry(HOST, client=ecr.client))
    assert ecr.manifest == {}


_NODE = r"""
set -euo pipefail
aws() {
  if [ "$2" = batch-get-image ]; then cat manifest; else echo "$PWD/blob"; fi
}
curl() { cp "$4" "$3"; }
@FETCH@
echo fetched
"""
"""A node's first boot as far as the package has come, with a registry that says what ``manifest`` holds."""


@pytest.mark.parametrize(("title", "taken"), [("vault.rpm", True), ("../taken", False), ("-q", False), ("", False)])
def test_a_node_takes_the_two_files_by_name_and_puts_nothing_where_the_registry_wants_it(
    title: str, taken: bool, tmp_path: Path
) -> None:
    """What else is there has nobody's signature, and would be written by root."""
    script = (ROOT / "vault" / "node" / "user-data.sh").read_text()
    fetch = script[script.index("manifest=$(aws ecr") : script.index("found=$(gpg")]
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "blob").write_bytes(FILES["vault.rpm"])
    digest = f"sha256:{hashlib.sha256(FILES['vault.rpm']).hexdigest()}"
    layer = {"digest": digest, "annotations": {"org.opencontainers.image.title": title}}
    (folder / "manifest").write_text(json.dumps({"layers": [layer]}))
    done = subprocess.run(
        ["bash", "-c", _NODE.replace("@FETCH@", fetch)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0, done.stdout) == (taken, "fetched\n" if taken else "")
    assert sorted(path.name for path in folder.iterdir()) == sorted({"blob", "manifest", *([title] if taken else [])})
    assert list(tmp_path.iterdir()) == [folder]
