"""What is known to be wrong with the packages: OSV's advisories, from a file, so that looking needs no network.

The file is the archive of one ecosystem, as OSV publishes it; an advisory is https://ossf.github.io/osv-schema.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from bundling.supply.locks import Package, Product
from bundling.supply.policy import Accepted

ECOSYSTEMS = {"pypi": "PyPI", "npm": "npm"}
"""As OSV names them."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """An advisory that is about a package of a product."""

    advisory: str
    aliases: tuple[str, ...]
    product: str
    package: Package
    summary: str
    fixed: tuple[str, ...]
    """Versions that have it no more."""

    def ids(self) -> set[str]:
        """All names of the advisory."""
        return {self.advisory, *self.aliases}


def find(products: Sequence[Product], ecosystem: str, advisories: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Every advisory about every package of ``ecosystem``, sorted by product, package and id."""
    known: dict[str, list[tuple[Product, Package]]] = {}
    for product in products:
        for package in product.packages:
            if package.ecosystem == ecosystem:
                known.setdefault(_name(ecosystem, package.name), []).append((product, package))
    found = []
    for advisory in advisories:
        if advisory.get("withdrawn"):
            continue
        for affected in advisory.get("affected", []):
            about = affected.get("package", {})
            if about.get("ecosystem") != ECOSYSTEMS[ecosystem]:
                continue
            for product, package in known.get(_name(ecosystem, about.get("name", "")), []):
                if is_affected(package.version, affected):
                    found.append(_finding(advisory, affected, product, package))
    return sorted(set(found), key=lambda each: (each.product, each.package.name, each.advisory))


def is_affected(version: str, affected: Mapping[str, Any]) -> bool:
    """OSV's evaluation: it is listed, or lies in a range. A version that cannot be compared counts as affected."""
    if any(_same(version, listed) for listed in affected.get("versions", [])):
        return True
    ranges = [each for each in affected.get("ranges", []) if each["type"] in ("ECOSYSTEM", "SEMVER")]
    if not ranges:
        return not affected.get("versions")  # it is about all of them
    try:
        return any(_within(Version(version), each["events"]) for each in ranges)
    except InvalidVersion:
        return True


def _same(version: str, other: str) -> bool:
    """Whether they are one version, however each is spelled."""
    try:
        return version == other or Version(version) == Version(other)
    except InvalidVersion:
        return False


def _within(version: Version, events: Iterable[Mapping[str, str]]) -> bool:
    """Events in the order of versions: the last one that is not above ``version`` decides."""
    inside = False
    ordered = sorted(
        ((_least(given), kind) for event in events for kind, given in event.items() if kind != "limit"),
        key=lambda each: each[0],
    )
    for at, kind in ordered:
        if at > version or (kind == "last_affected" and at == version):
            break
        inside = kind == "introduced"
    return inside


def _least(given: str) -> Version:
    return Version("0.dev0" if given == "0" else given)


def archived(file: Path) -> Iterator[Mapping[str, Any]]:
    """The advisories in OSV's archive of an ecosystem.

    :raises ValueError: it is none.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                if name.endswith(".json"):
                    yield json.loads(archive.read(name))
    except (zipfile.BadZipFile, json.JSONDecodeError) as error:
        raise ValueError(f"{file} is no archive of advisories: {error}") from error


def judged(findings: Sequence[Finding], accepted: Mapping[str, Accepted], today: date) -> list[str]:
    """What has to be looked at, one line each; what the policy accepts until a later day is none of it."""
    wrong, used = [], set()
    for found in findings:
        names = [name for name in found.ids() if name in accepted and accepted[name].package == found.package.name]
        used.update(names)
        if any(accepted[name].until >= today for name in names):
            continue
        fixed = f"; fixed in {', '.join(found.fixed)}" if found.fixed else ""
        wrong.append(
            f"{found.product}: {found.package.name} {found.package.version}: {found.advisory} {found.summary}{fixed}"
        )
    return wrong + [f"policy.yaml accepts {name}, which is found no more." for name in sorted(accepted.keys() - used)]


def _finding(advisory: Mapping[str, Any], affected: Mapping[str, Any], product: Product, package: Package) -> Finding:
    events = [event for each in affected.get("ranges", []) if each["type"] != "GIT" for event in each["events"]]
    return Finding(
        advisory=advisory["id"],
        aliases=tuple(advisory.get("aliases", [])),
        product=product.name,
        package=package,
        summary=advisory.get("summary") or advisory.get("details", "")[:100].replace("\n", " "),
        fixed=tuple(event["fixed"] for event in events if "fixed" in event),
    )


def _name(ecosystem: str, name: str) -> str:
    return canonicalize_name(name) if ecosystem == "pypi" else name
