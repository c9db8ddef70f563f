"""OSV's advisories are read as its schema says: https://ossf.github.io/osv-schema/#evaluation."""

import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from bundling.supply.advisories import archived, find, is_affected, judged
from bundling.supply.locks import Package, Product
from bundling.supply.policy import Accepted

PRODUCT = Product(
    name="service-x",
    packages=(
        Package(ecosystem="pypi", name="ruamel-yaml", version="0.18.1"),
        Package(ecosystem="npm", name="aws-cdk", version="2.1148.1"),
    ),
)
TODAY = date(2026, 6, 1)


def ranged(*events: tuple[str, str], kind: str = "ECOSYSTEM") -> dict[str, Any]:
    return {"ranges": [{"type": kind, "events": [{name: version} for name, version in events]}]}


def advisory(
    affected: dict[str, Any], *, name: str = "ruamel.yaml", ecosystem: str = "PyPI", **more: Any
) -> dict[str, Any]:
    package = {"package": {"name": name, "ecosystem": ecosystem}}
    return {"id": "GHSA-1", "aliases": ["CVE-1"], "summary": "Bad.", "affected": [package | affected], **more}


@pytest.mark.parametrize(
    ("affected", "inside", "outside"),
    [
        (ranged(("introduced", "0"), ("fixed", "2.0")), ["0.1", "1.9", "2.0rc1"], ["2.0", "2.0.1"]),
        (ranged(("introduced", "1.0"), ("last_affected", "1.5")), ["1.0", "1.5"], ["0.9", "1.5.1"]),
        (ranged(("introduced", "1.10"), ("fixed", "1.20")), ["1.10", "1.19"], ["1.9", "1.20"]),
        (
            ranged(("introduced", "3"), ("fixed", "1.5"), ("introduced", "1"), ("fixed", "3.5")),
            ["1.4", "3.4"],
            ["0.9", "2", "3.5"],
        ),
        (ranged(("introduced", "0")), ["0.0.1", "99"], []),
        ({"versions": ["1.0", "1.1", "dev-1"]}, ["1.0", "1.1", "1.1.0", "dev-1"], ["1.2", "1.1.post1"]),
        ({"versions": ["1.0"]} | ranged(("introduced", "2"), ("fixed", "3")), ["1.0", "2.5"], ["1.1", "3"]),
        ({}, ["1.0"], []),
        (ranged(("introduced", "abc"), kind="GIT"), ["1.0"], []),
        (ranged(("introduced", "no-version"), ("fixed", "1")), ["5"], []),
    ],
)
def test_listed_or_within_a_range(affected: dict[str, Any], inside: list[str], outside: list[str]) -> None:
    assert [version for version in [*inside, *outside] if is_affected(version, affected)] == inside


def test_a_package_is_found_by_whichever_spelling_of_its_name_and_in_its_own_ecosystem() -> None:
    bad = ranged(("introduced", "0"), ("fixed", "1.0"))
    (found,) = find([PRODUCT], "pypi", [advisory(bad)])
    assert (found.product, found.package.name, found.fixed) == ("service-x", "ruamel-yaml", ("1.0",))
    assert not find([PRODUCT], "npm", [advisory(bad)])
    assert not find([PRODUCT], "npm", [advisory(bad, name="aws-cdk", ecosystem="npm")])
    assert find(
        [PRODUCT], "npm", [advisory(ranged(("introduced", "2.0.0"), kind="SEMVER"), name="aws-cdk", ecosystem="npm")]
    )
    assert not find([PRODUCT], "pypi", [advisory(bad, withdrawn="2026-01-01T00:00:00Z")])
    assert not find([PRODUCT], "pypi", [advisory(bad, name="ruamel")])


def test_what_is_accepted_is_so_until_a_day_for_one_package_and_as_long_as_it_is_found() -> None:
    findings = find([PRODUCT], "pypi", [advisory(ranged(("introduced", "0"), ("fixed", "1.0")))])
    line = "service-x: ruamel-yaml 0.18.1: GHSA-1 Bad.; fixed in 1.0"

    def accept(package: str, until: date) -> dict[str, Accepted]:
        return {"CVE-1": Accepted(package=package, until=until, because="not reached from outside")}

    assert judged(findings, {}, TODAY) == [line]
    assert judged(findings, accept("ruamel-yaml", TODAY), TODAY) == []
    assert judged(findings, accept("ruamel-yaml", date(2026, 5, 31)), TODAY) == [line]
    unused = "policy.yaml accepts CVE-1, which is found no more."
    assert judged(findings, accept("another", TODAY), TODAY) == [line, unused]
    assert judged([], accept("ruamel-yaml", TODAY), TODAY) == [unused]


def test_an_archive_is_read_and_anything_else_refused(tmp_path: Path) -> None:
    file = tmp_path / "pypi.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("GHSA-1.json", '{"id": "GHSA-1"}')
        archive.writestr("README", "no advisory")
    assert [each["id"] for each in archived(file)] == ["GHSA-1"]
    file.write_bytes(b"PK no")
    with pytest.raises(ValueError, match="no archive of advisories"):
        list(archived(file))
