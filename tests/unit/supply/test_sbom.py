"""The list of components: valid, complete, and the same bytes each time."""

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from bundling.supply import sbom
from bundling.supply.locks import Product, products
from bundling.supply.policy import Policy

SHIPPED = [product for product in products() if product.ships]


@pytest.mark.parametrize("product", SHIPPED, ids=lambda product: product.name)
def test_a_list_is_valid_and_has_every_package_with_its_hashes(product: Product) -> None:
    rendered = sbom.render(product, Policy.load())
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(rendered) is None
    bom = json.loads(rendered)
    assert bom["metadata"]["component"]["name"] == f"anfl-{product.name}"
    listed = {component["purl"]: component for component in bom["components"]}
    assert len(listed) == len(product.packages)
    for package in product.packages:
        component = listed[f"pkg:{package.ecosystem}/{package.name}@{package.version}"]
        assert component["licenses"][0]["expression"]
        files = component.get("externalReferences", [{"hashes": []}])[0]["hashes"]
        assert {each["content"] for each in files} == set(package.hashes)
    (root,) = (each for each in bom["dependencies"] if each["ref"] == f"anfl-{product.name}")
    assert set(root["dependsOn"]) == listed.keys()


def test_the_same_locks_make_the_same_bytes_and_others_another_serial_number() -> None:
    first, second, *_ = SHIPPED
    policy = Policy.load()
    assert sbom.render(first, policy) == sbom.render(first, policy)
    assert (
        json.loads(sbom.render(first, policy))["serialNumber"]
        != json.loads(sbom.render(second, policy))["serialNumber"]
    )
