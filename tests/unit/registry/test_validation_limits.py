"""The function's limits follow from what the architecture gives it."""

import tempfile
from pathlib import Path

import pytest

from anfl.inspection.limits import MIB, Limits
from anfl.invocation import empty_folder
from lambda_src.model_validation.handler import limits_of
from stacks.architecture import FunctionName
from stacks.settings import load
from tests.unit.invocation import Invocation


def test_an_inspection_ends_before_its_invocation_and_leaves_memory_for_the_rest() -> None:
    limits = limits_of(Invocation(seconds=100), memory_mib=512)
    assert (limits.seconds, limits.memory_bytes) == (80.0, 256 * MIB)


def test_with_the_architectures_figures_they_are_those_of_the_command() -> None:
    size = load("prod").compute.lambda_.function(FunctionName.MODEL_VALIDATION)
    assert limits_of(Invocation(seconds=size.timeout), memory_mib=size.memory) == Limits()


def test_an_inspection_finds_nothing_of_one_that_was_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    other = tmp_path / "not-ours"
    other.touch()
    folder = empty_folder("anfl-x")
    (folder / "inspect-x").mkdir()
    (folder / "inspect-x" / "model").write_bytes(b"another tenant's")
    (folder / "tmpcopy").write_bytes(b"another tenant's")
    assert empty_folder("anfl-x") == folder
    assert not list(folder.iterdir())
    assert other.exists()
