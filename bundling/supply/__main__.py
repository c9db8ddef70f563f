"""``make sbom`` and ``make audit``: ``python -m bundling.supply sbom|audit``.

``audit`` ends with 1 for something wrong, and with 3 where nothing is wrong but advisories could not be had.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bundling.functions import BUILD
from bundling.supply import sbom as boms
from bundling.supply.advisories import ECOSYSTEMS, archived, find, judged
from bundling.supply.fetching import Archive, fetched
from bundling.supply.licences import refused
from bundling.supply.locks import Product, products
from bundling.supply.policy import Policy

NOT_CHECKED = 3
_app = typer.Typer(add_completion=False, no_args_is_help=True)
_console = Console(highlight=False, markup=False, soft_wrap=True)


@_app.command()
def sbom(folder: Annotated[Path, typer.Option(help="Where to.")] = BUILD / "sbom") -> None:
    """Write a CycloneDX list of components for everything that ships."""
    policy = Policy.load()
    folder.mkdir(parents=True, exist_ok=True)
    for product in products():
        if product.ships:
            file = folder / f"{product.name}.cdx.json"
            file.write_text(boms.render(product, policy))
            _console.print(f"{file.name}: {len(product.packages)} components")


@_app.command()
def audit(
    advisories: Annotated[
        Path,
        typer.Option(help="Folder with OSV's archives, pypi.zip and npm.zip; fetched where they are absent or old."),
    ] = BUILD / "osv",
) -> None:
    """Look at licences and known vulnerabilities of everything that the locks name."""
    policy, locked = Policy.load(), products()
    wrong = refused(locked, policy)
    _console.print(f"licences: {_count(locked)} packages, {len(wrong)} refused")
    archives = [fetched(ecosystem, advisories) for ecosystem in ECOSYSTEMS]
    present = [archive for archive in archives if archive is not None]
    try:
        wrong += _advised(locked, policy, present, whole=len(present) == len(archives))
    except ValueError as error:
        sys.exit(str(error))
    for line in wrong:
        _console.print(line)
    absent = [ecosystem for ecosystem, archive in zip(ECOSYSTEMS, archives, strict=True) if archive is None]
    if absent:
        where = f"put OSV's all.zip there as {', '.join(f'{each}.zip' for each in absent)}: {advisories}"
        _console.print(f"vulnerabilities: NOT CHECKED for {', '.join(absent)}, osv.dev does not answer; {where}")
    if wrong:
        raise typer.Exit(1)
    if absent:
        raise typer.Exit(NOT_CHECKED)


def _advised(locked: list[Product], policy: Policy, archives: list[Archive], *, whole: bool) -> list[str]:
    found = []
    for archive in archives:
        of_it = find(locked, archive.ecosystem, archived(archive.file))
        hours = archive.age_seconds / 3600
        _console.print(f"vulnerabilities: {archive.ecosystem}, as of {hours:.0f} hours ago: {len(of_it)} found")
        found += of_it
    names = {name for each in found for name in each.ids()}
    accepted = policy.accepted if whole else {key: each for key, each in policy.accepted.items() if key in names}
    return judged(found, accepted, datetime.now(UTC).date())


def _count(locked: list[Product]) -> int:
    return len({(each.ecosystem, each.name, each.version) for product in locked for each in product.packages})


if __name__ == "__main__":
    _app()
