"""Rules of the repository itself that no other check can see."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, check=True, timeout=30
    )
    return [path for name in listing.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_constructs_stays_a_namespace() -> None:
    """An ``__init__.py`` there would shadow the package ``constructs`` and break every import of aws_cdk."""
    assert not (ROOT / "constructs" / "__init__.py").exists()


@pytest.mark.parametrize("layer", ["anfl", "services", "lambda_src"])
def test_what_is_deployed_imports_neither_the_infrastructure_nor_the_local_run(layer: str) -> None:
    forbidden = re.compile(
        r"^\s*(?:from|import) (aws_cdk|constructs|stacks|deployment|local|operations|bundling|moto)\b", re.MULTILINE
    )
    offenders = {
        str(path.relative_to(ROOT)): match.group(1)
        for path in tracked(f"{layer}/*.py")
        if "anfl/cli" not in path.as_posix() and (match := forbidden.search(path.read_text()))
    }
    assert offenders == {}


def test_what_operators_run_reads_templates_and_builds_none() -> None:
    """What it knows of the stacks comes from the settings, the names and the synthesized templates."""
    cli = "anfl.cli.main, anfl.cli.operations, anfl.cli.operator"
    work = "deployment.__main__, operations.removal, operations.destruction, operations.cleanup.search"
    probe = f"import sys, {cli}, {work}; print('aws_cdk' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_embedded_aws_stays_small() -> None:
    """The supervisor (``local/*.py``) and the development Vault (``local/vault``) are programs of their own, and so are
    the vector index (``local/aws/vectors``) and replication (``local/aws/buckets``), for which moto has nothing."""

    def lines(files: Iterable[Path]) -> int:
        stripped = (line.strip() for path in files for line in path.read_text().splitlines())
        return sum(bool(line) and not line.startswith("#") for line in stripped)

    index = set(tracked("local/aws/vectors/*.py"))
    assert 0 < lines(index) < 600
    buckets = set(tracked("local/aws/buckets/*.py"))
    assert 0 < lines(buckets) < 200
    assert 0 < lines(set(tracked("local/aws/*.py", "local/gateway/*.py")) - index - buckets) < 3_325


def test_no_class_of_the_infrastructure_is_longer_than_a_reader_holds_in_mind() -> None:
    lengths = {
        f"{path.relative_to(ROOT)}:{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in tracked("stacks/*.py", "constructs/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    assert len(lengths) > 50
    assert {name: length for name, length in lengths.items() if length > 150} == {}


def test_the_readme_names_only_targets_that_exist() -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", (ROOT / "README.md").read_text()))
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named
    assert named <= targets


def test_no_file_names_a_home_directory_or_a_download_address() -> None:
    pattern = re.compile(rb"/(?:root|home/[a-z]+)/|files\.pythonhosted|registry\.npmjs|deb\.debian")
    own = Path(__file__).resolve()
    offenders = [
        str(path.relative_to(ROOT)) for path in tracked() if path.resolve() != own and pattern.search(path.read_bytes())
    ]
    assert offenders == []


def test_nothing_calls_itself_unfinished() -> None:
    pattern = re.compile(r"raise NotImplementedError|\b(?:TODO|FIXME|XXX)\b")
    own = Path(__file__).resolve()
    offenders = [
        str(path.relative_to(ROOT))
        for path in tracked("*.py")
        if path.resolve() != own and pattern.search(path.read_text())
    ]
    assert offenders == []
