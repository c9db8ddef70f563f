"""Images in the account's registry: what is there is not pushed again, and what must be there is made."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from bundling import push
from bundling.errors import BundlingError
from bundling.registry import Registry

HOST = "123456789012.dkr.ecr.us-west-1.amazonaws.com"
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("ecr", region_name="us-west-1")


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A client that notes what it is asked for; where it is asked for a password, that too."""
    noted = tmp_path / "noted"
    program = tmp_path / "docker"
    program.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"with open({str(noted)!r}, 'a') as file:\n"
        "    file.write(' '.join(sys.argv[1:]) + '\\n')\n"
        "    if sys.argv[1] == 'login':\n        file.write('password ' + str(bool(sys.stdin.read())) + '\\n')\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return noted


def test_a_repository_is_made_where_it_is_missing_and_its_tags_stay_what_they_are(ecr: Any) -> None:
    registry = Registry(HOST, client=ecr)
    assert not registry.has("anfl-collector", "v1.2.3")
    assert not registry.has("anfl-collector", "v1.2.3")
    (made,) = ecr.describe_repositories()["repositories"]
    assert made["repositoryName"] == "anfl-collector"
    assert made["imageTagMutability"] == "IMMUTABLE"
    assert made["imageScanningConfiguration"] == {"scanOnPush": True}


def test_images_go_to_the_account_with_the_collectors_and_vaults_package_beside_them(
    ecr: Any, docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored: list[str] = []

    def mirror(version: str, registry: Registry) -> bool:
        mirrored.append(f"{registry.host} {version}")
        return True

    monkeypatch.setattr(push, "mirror", mirror)
    assert push.main(["--base-digest", DIGEST, "--collector-digest", DIGEST, "--push", HOST]) == 0
    noted = docker.read_text().splitlines()
    assert noted[1:3] == [f"login --username AWS --password-stdin {HOST}", "password True"]
    pushed = [line.removeprefix("push ") for line in noted if line.startswith("push ")]
    assert [name.split(":")[0] for name in pushed] == [
        f"{HOST}/anfl-{name}" for name in ("vector-store", "model-registry", "collector")
    ]
    (pulled,) = (line for line in noted if line.startswith("pull "))
    assert "public.ecr.aws/aws-observability/aws-otel-collector:v" in pulled
    assert pulled.endswith(f"@{DIGEST}")
    assert {r["repositoryName"] for r in ecr.describe_repositories()["repositories"]} == {
        "anfl-vector-store",
        "anfl-model-registry",
        "anfl-collector",
    }
    assert mirrored == [f"{HOST} 1.20.4"]


def test_what_is_there_already_is_neither_built_nor_pushed(
    ecr: Any, docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del ecr
    monkeypatch.setattr(Registry, "has", lambda *_: True)
    assert push.main(["--base-digest", DIGEST, "--push", HOST]) == 0
    assert [line.split()[0] for line in docker.read_text().splitlines()] == ["info", "login", "password"]


def test_a_collector_that_its_publisher_may_have_exchanged_is_not_copied(
    ecr: Any, docker: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del ecr
    monkeypatch.setattr(push, "mirror", lambda *_: True)
    for given in ([], ["--collector-digest", "v1.2.3"]):
        assert push.main(["--base-digest", DIGEST, *given, "--push", HOST]) == 1
        assert "COLLECTOR_DIGEST=sha256:" in capsys.readouterr().err
    assert "pull " not in docker.read_text()


def test_another_registry_is_refused() -> None:
    with pytest.raises(BundlingError, match=r"no registry of AWS: ACCOUNT\.dkr"):
        Registry("registry.example.org")
