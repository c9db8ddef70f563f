"""The locks: exact, hashed, without addresses, in agreement."""

import json
import re
from pathlib import Path

import pytest

from bundling.sources import ROOT

SHIPPED = [
    *sorted(ROOT.glob("lambda_src/*/requirements.in")),
    *sorted(ROOT.glob("services/*/*.in")),
]
SOURCES = [
    ROOT / "requirements.in",
    ROOT / "requirements-dev.in",
    *sorted(ROOT.glob("bundling/*.in")),
    *SHIPPED,
]


def pins(lock: Path) -> dict[str, set[str]]:
    """Package → versions (several where they depend on the platform or on Python's version)."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", lock.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def names(source: Path) -> set[str]:
    lines = (line.split("#")[0].strip() for line in source.read_text().splitlines())
    return {re.split(r"[<>=\[;~!]", line)[0].strip().lower() for line in lines if line and not line.startswith("-")}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_lock_is_hashed_without_addresses_and_covers_its_source(source: Path) -> None:
    lock = source.with_suffix(".txt")
    text = lock.read_text()
    assert "://" not in text
    assert "--find-links" not in text
    assert names(source) <= pins(lock).keys()
    assert text.count("==") <= text.count("--hash=sha256:")


@pytest.mark.parametrize("source", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_ships_is_what_is_tested(source: Path) -> None:
    tested = pins(ROOT / "requirements-dev.txt")
    assert {name: tested.get(name) for name in pins(source.with_suffix(".txt"))} == pins(source.with_suffix(".txt"))


def test_nothing_is_installed_without_its_hash() -> None:
    """Nor built by what has none: of a source, installers take for that whatever their index has."""
    files = [ROOT / "Makefile", *ROOT.glob("services/*/Dockerfile"), *ROOT.glob("bundling/*.py")]
    for file in files:
        text = file.read_text().replace("\\\n", " ")
        for line in re.findall(r".*\bpip (?:install|sync|download) .*", text):
            assert "--require-hashes" in line or "--no-deps --no-build-isolation --editable ." in line, line
            built = "--only-binary :all:" not in line or "--no-binary" in line
            isolated = "--no-build-isolation" not in line and "--build-constraints" not in line
            assert not (built and isolated and "hnswlib" in _installed(file, line)), line


def _installed(file: Path, line: str) -> str:
    """What is in the locks that a command names."""
    folders = (file.parent, ROOT)
    named = re.findall(r"[\w./-]+\.txt", line)
    return "".join(place.read_text() for name in named for folder in folders if (place := folder / name).is_file())


def test_node_packages_are_locked_without_addresses() -> None:
    text = (ROOT / "package-lock.json").read_text()
    assert "://" not in text
    packages = {path: entry for path, entry in json.loads(text)["packages"].items() if path}
    assert packages
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())


def test_node_packages_run_nothing_when_they_are_installed() -> None:
    assert "ignore-scripts=true" in (ROOT / ".npmrc").read_text().split()
