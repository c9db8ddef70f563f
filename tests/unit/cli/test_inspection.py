"""``anfl models inspect``: verdicts on files of this machine."""

import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from anfl.cli import inspection
from anfl.cli.errors import CliError
from anfl.cli.inspection import inspect_path
from anfl.cli.main import app


class _Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


@pytest.fixture(name="weights")
def _weights(tmp_path: Path) -> Path:
    path = tmp_path / "model" / "weights.npy"
    path.parent.mkdir()
    np.save(path, np.arange(12, dtype=np.float32))
    return path


def test_a_good_file_is_validated_with_its_checksum(weights: Path) -> None:
    content = weights.read_bytes()
    assert inspect_path(weights) == {
        "status": "VALIDATED",
        "reasons": [],
        "files": [
            {
                "path": "weights.npy",
                "sha256": hashlib.sha256(content).hexdigest(),
                "size": len(content),
                "format": "npy",
            }
        ],
    }


def test_one_bad_file_spoils_a_folder_and_is_named_relative_to_it(weights: Path) -> None:
    (weights.parent / "parts").mkdir()
    (weights.parent / "parts" / "model.pkl").write_bytes(pickle.dumps(_Harmful()))
    verdict = inspect_path(weights.parent)
    assert verdict["status"] == "REJECTED"
    assert ("dangerous_global", "parts/model.pkl") in [(found["code"], found["file"]) for found in verdict["reasons"]]
    assert [file["path"] for file in verdict["files"]] == ["parts/model.pkl", "weights.npy"]


def test_a_linked_file_is_judged_by_its_content_as_the_registry_receives_it(weights: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (snapshot / "weights.npy").symlink_to(weights)
    assert inspect_path(snapshot)["status"] == "VALIDATED"


def test_the_original_stays(weights: Path) -> None:
    before = weights.read_bytes()
    inspect_path(weights)
    assert weights.read_bytes() == before


def test_an_empty_folder_is_rejected(tmp_path: Path) -> None:
    assert [found["code"] for found in inspect_path(tmp_path)["reasons"]] == ["no_files"]


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="There is no file or folder"):
        inspect_path(tmp_path / "gone")


def test_a_file_that_vanishes_or_may_not_be_read_is_named(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = weights.with_name("lost.npy")
    monkeypatch.setattr(inspection, "artefacts_at", lambda _: {"lost.npy": lost})
    with pytest.raises(CliError, match=r"lost\.npy cannot be read: No such file"):
        inspect_path(weights.parent)


def test_the_command_prints_the_document(weights: Path) -> None:
    result = CliRunner().invoke(app, ["models", "inspect", str(weights), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["status"] == "VALIDATED"


def test_the_command_fails_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(_Harmful()))
    result = CliRunner().invoke(app, ["models", "inspect", str(tmp_path)])
    assert result.exit_code == 1
    assert "Verdict: REJECTED" in result.stdout
    assert "dangerous_global: model.pkl" in result.stdout


def test_hosts_of_packages_are_trusted_as_the_caller_says(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("--index-url https://index.example.test/simple\nnumpy\n")
    runner = CliRunner()
    assert runner.invoke(app, ["models", "inspect", str(tmp_path)]).exit_code == 1
    told = runner.invoke(app, ["models", "inspect", str(tmp_path), "--package-host", "index.example.test", "--json"])
    assert (told.exit_code, json.loads(told.output)["status"]) == (0, "VALIDATED")
