"""Aliases and snapshots from the command line, against the real service."""

import numpy as np
import pytest
from typer.testing import CliRunner

from anfl.cli.main import app
from anfl.cli.output import moment
from anfl.client import Client, new_rows
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.store import VectorStore
from tests.unit.cli.commands import Commands
from tests.unit.client.conftest import TOKEN


@pytest.fixture(name="anfl")
def _anfl(url: str) -> Commands:
    with Client(url, token=TOKEN) as client:
        client.create_collection("words", dimension=2).upsert(new_rows(["a", "b"], np.eye(2)))
    return Commands(url, "collections")


def test_an_alias_is_set_listed_and_deleted(anfl: Commands) -> None:
    assert anfl.text("alias", "list") == "No aliases yet."
    assert anfl.text("alias", "set", "live", "words") == "live is words."
    assert anfl.json("alias", "list") == {"aliases": [{"alias": "live", "collection": "words"}]}
    assert anfl.json("alias", "delete", "live") == {"deleted": "live"}
    assert anfl.json("alias", "list") == {"aliases": []}


def test_a_snapshot_is_made_restored_and_deleted(anfl: Commands) -> None:
    assert anfl.text("snapshots", "create", "words", "monday").startswith("Kept 2 rows of words as monday")
    assert [each["name"] for each in anfl.json("snapshots", "list", "words")["snapshots"]] == ["monday"]
    assert "monday 2" in anfl.text("snapshots", "list", "words")
    assert anfl.text("restore", "words", "monday", "again") == "again is words as it was in monday."
    assert anfl.json("show", "again")["stats"]["rows"] == 2
    made = anfl.json("show", "again")["collection"]["created_at"]
    assert f"created_at {moment(made)}" in anfl.text("show", "again"), "people read dates"
    assert anfl.text("snapshots", "delete", "words", "monday", "--yes") == "Deleted monday."
    assert anfl.text("snapshots", "list", "words") == "No named snapshots yet."


def test_a_snapshot_that_cannot_be_read_is_listed_as_damaged(
    anfl: Commands, store: VectorStore, objects: S3ObjectStore
) -> None:
    anfl.json("snapshots", "create", "words", "monday")
    objects.put(f"{store.describe('demo', 'words').prefix}named/monday", b"ANFL damaged")
    assert anfl.json("snapshots", "list", "words") == {"snapshots": [], "damaged": ["monday"]}
    assert "monday damaged" in anfl.text("snapshots", "list", "words")


def test_a_snapshot_is_not_deleted_unless_confirmed(anfl: Commands, url: str) -> None:
    anfl.json("snapshots", "create", "words", "monday")
    command = ["collections", "snapshots", "delete", "words", "monday", "--endpoint", url, "--token", TOKEN]
    assert CliRunner().invoke(app, command, input="n\n").exit_code != 0
    assert len(anfl.json("snapshots", "list", "words")["snapshots"]) == 1
