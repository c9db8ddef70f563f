"""Which licence each package has, and whether it may be used for what it is used for. Needs no network."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata

import license_expression
from boolean import Expression
from license_expression import ExpressionError, Licensing

from bundling.supply.locks import Package, Product
from bundling.supply.policy import Policy

_CLASSIFIERS: Mapping[str, str] = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
"""Names of the index's classifiers, as SPDX has them."""


def refused(products: list[Product], policy: Policy) -> list[str]:
    """What is not allowed, one line each."""
    wrong, used = [], set()
    for product in products:
        allowed = policy.licences.shipped | (frozenset() if product.ships else policy.licences.tools)
        for package in product.packages:
            if package.name in policy.licences.named:
                used.add(package.name)
            licence = licence_of(package, policy)
            if licence is None:
                wrong.append(f"{product.name}: {package.name} {package.version} says no licence that is known.")
            elif not fulfils(licence, allowed):
                wrong.append(f"{product.name}: {package.name} {package.version} is {licence}.")
    wrong += [f"policy.yaml names {name}, which no lock has." for name in sorted(policy.licences.named.keys() - used)]
    return wrong


def licence_of(package: Package, policy: Policy) -> str | None:
    """Its licence as an SPDX expression; None where neither it nor the policy says one."""
    named = policy.licences.named.get(package.name)
    if named is not None:
        return named.licence
    if package.ecosystem != "pypi":
        return _expression(package.licence or "")
    try:
        return _stated(metadata(package.name))
    except PackageNotFoundError:  # for another platform than this
        return None


def fulfils(licence: str, allowed: frozenset[str]) -> bool:
    """Whether an SPDX expression can be fulfilled by ``allowed`` alone."""
    spdx = _spdx()
    return _fulfilled(spdx.parse(licence), allowed, spdx)


def _fulfilled(part: Expression, allowed: frozenset[str], spdx: Licensing) -> bool:
    if isinstance(part, spdx.OR):
        return any(_fulfilled(each, allowed, spdx) for each in part.args)
    if isinstance(part, spdx.AND):
        return all(_fulfilled(each, allowed, spdx) for each in part.args)
    return str(part) in allowed


def _stated(about: PackageMetadata) -> str | None:
    for given in (about.get("License-Expression"), about.get("License")):
        if given and (found := _expression(given)):
            return found
    classifiers = about.get_all("Classifier") or []
    names = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License ::")]
    known = [_CLASSIFIERS[name] for name in names if name in _CLASSIFIERS]
    return " OR ".join(known) or None  # several: the packages that do so say that one may choose


def _expression(text: str) -> str | None:
    try:
        parsed = _spdx().parse(text.strip(), validate=True, strict=True)
    except ExpressionError:
        return None
    return None if parsed is None else str(parsed)


@cache
def _spdx() -> Licensing:
    return license_expression.get_spdx_licensing()
