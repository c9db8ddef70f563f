"""What a deployment touches."""

import json
from pathlib import Path

import pytest

from deployment.rollout import RolloutError, read
from tests.unit.deployment.conftest import Assemble

STACKS = {
    "anfl-prod-global-dns": {"region": "us-east-1", "resources": {}},
    "anfl-prod-global-people": {"region": "us-east-1", "resources": {}},
    "anfl-prod-us-west-1-network": {"region": "us-west-1", "resources": {}, "needs": ["anfl-prod-global-dns"]},
    "anfl-prod-us-west-1-service": {"region": "us-west-1", "resources": {}, "needs": ["anfl-prod-us-west-1-network"]},
    "anfl-prod-eu-west-1-network": {"region": "eu-west-1", "resources": {}, "needs": ["anfl-prod-global-dns"]},
}


def test_everything(assemble: Assemble) -> None:
    rollout = assemble(STACKS)
    assert rollout.stacks == tuple(STACKS)
    assert rollout.regions == ("us-west-1", "us-east-1", "eu-west-1")
    assert rollout.bootstrap_version == 6


def test_one_region_with_what_it_needs_and_no_other(assemble: Assemble) -> None:
    rollout = assemble(STACKS, regions=("us-west-1",))
    assert rollout.stacks == (
        "anfl-prod-global-dns",
        "anfl-prod-us-west-1-network",
        "anfl-prod-us-west-1-service",
    )
    assert rollout.regions == ("us-west-1", "us-east-1")


def test_a_region_that_is_none(assemble: Assemble) -> None:
    with pytest.raises(RolloutError, match="mars-1"):
        assemble(STACKS, regions=("mars-1",))


def test_no_templates(tmp_path: Path) -> None:
    with pytest.raises(RolloutError, match="make synth"):
        read(tmp_path)


def test_templates_of_an_environment_without_settings(tmp_path: Path) -> None:
    stack = {
        "type": "aws:cloudformation:stack",
        "environment": "aws://unknown-account/us-west-1",
        "properties": {"templateFile": "t.json", "tags": {"environment": "other"}},
    }
    (tmp_path / "t.json").write_text("{}")
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": {"anfl-other-global-dns": stack}}))
    with pytest.raises(RolloutError, match="env=other"):
        read(tmp_path)
