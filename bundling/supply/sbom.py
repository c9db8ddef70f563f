"""``make sbom``: a CycloneDX 1.6 list of components for everything that ships, the same bytes from the same locks.

The format: https://cyclonedx.org/docs/1.6/json.
"""

import tomllib
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from bundling.sources import ROOT
from bundling.supply.licences import licence_of
from bundling.supply.locks import Package, Product
from bundling.supply.policy import Policy

_EPOCH = datetime(1980, 1, 1, tzinfo=UTC)
"""As in the bundles: when it was made says nothing that its locks do not."""


def render(product: Product, policy: Policy) -> str:
    """One product's list, as JSON."""
    root = Component(name=f"anfl-{product.name}", version=_version(), type=ComponentType.APPLICATION)
    root.bom_ref.value = root.name
    components = [_component(package, policy) for package in product.packages]
    bom = Bom(components=components, serial_number=uuid5(NAMESPACE_URL, _identity(product.packages)))
    bom.metadata.component = root
    bom.metadata.timestamp = _EPOCH
    bom.register_dependency(root, components)
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _component(package: Package, policy: Policy) -> Component:
    purl = PackageURL(type=package.ecosystem, name=package.name, version=package.version)
    licence = licence_of(package, policy)
    files = [HashType(alg=HashAlgorithm.SHA_256, content=content) for content in package.hashes]
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        licenses=[LicenseExpression(licence)] if licence else [],
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(str(purl)),
                comment="SHA-256 of each file that may be installed",
                hashes=files,
            )
        ]
        if files
        else [],
    )


def _identity(packages: Iterable[Package]) -> str:
    return "\n".join(f"{each.ecosystem}/{each.name}@{each.version} {each.hashes}" for each in packages)


def _version() -> str:
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return version
