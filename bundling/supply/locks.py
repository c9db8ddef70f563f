"""The packages that the locks name: the locks are what is installed, so nothing else has to be asked."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from bundling.sources import ROOT

_PIN = re.compile(r"([a-z0-9._-]+)==([^ ;]+)(?: ; [^#]+?)?((?: +--hash=sha256:[0-9a-f]{64})+)")
"""All of a requirement, once its lines are joined."""
_COMMENT = re.compile(r" *#(?!.*coding[:=]).*")
"""Of a whole line; none that tells pip another encoding, in which the rest would say something else."""
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, kw_only=True, order=True)
class Package:
    """One version of one package."""

    ecosystem: str
    """As package URLs have it: ``pypi`` or ``npm``."""
    name: str
    version: str
    hashes: tuple[str, ...] = ()
    """SHA-256 of each file that may be installed, in hexadecimal."""
    licence: str | None = None
    """What the lock itself says."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """Something that is shipped, or with which it is made."""

    name: str
    packages: tuple[Package, ...]
    ships: bool = True


def products(root: Path = ROOT) -> list[Product]:
    """Every function, every service, what synthesizes and deploys them, and what develops, builds and tests them."""
    found = [
        Product(name=f"{kind}-{lock.parent.name.replace('_', '-')}", packages=read(lock))
        for kind, folder in (("function", "lambda_src"), ("service", "services"))
        for lock in sorted(root.glob(f"{folder}/*/requirements.txt"))
    ]
    node = read_node(root / "package-lock.json")
    found.append(Product(name="infrastructure", packages=(*read(root / "requirements.txt"), *node)))
    tools = [root / "requirements-dev.txt", *sorted(root.glob("services/*/builders.txt")), *root.glob("bundling/*.txt")]
    packages = tuple(sorted({package for lock in tools for package in read(lock)}))
    found.append(Product(name="development", packages=packages, ships=False))
    return found


def read(lock: Path) -> tuple[Package, ...]:
    """The packages of one of pip's locks.

    :raises ValueError: a line that pins nothing, or pins it without a hash: pip may understand it, and install what
        nobody has looked at.
    """
    found = []
    lines = [line for line in lock.read_text().splitlines() if not _COMMENT.fullmatch(line)]
    for line in filter(str.strip, "\n".join(lines).replace("\\\n", " ").splitlines()):
        pin = _PIN.fullmatch(line.rstrip())
        if pin is None:
            raise ValueError(f"{lock}: no pin with hashes: {line[:80]}")
        name, version, hashes = pin.groups()
        found.append(Package(ecosystem="pypi", name=name, version=version, hashes=tuple(_HASH.findall(hashes))))
    return tuple(sorted(found))


def read_node(lock: Path) -> tuple[Package, ...]:
    """The packages of one of npm's locks."""
    entries = json.loads(lock.read_text())["packages"]
    return tuple(
        sorted(
            Package(
                ecosystem="npm",
                name=entry.get("name") or path.rpartition("node_modules/")[2],  # it may be installed as another
                version=entry["version"],
                licence=entry.get("license"),
            )
            for path, entry in entries.items()
            if path
        )
    )
