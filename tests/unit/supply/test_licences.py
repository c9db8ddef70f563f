"""Every package that the locks name has a licence that its use allows."""

import pytest

from bundling.supply.licences import fulfils, licence_of, refused
from bundling.supply.locks import Package, Product, products
from bundling.supply.policy import Named, Policy

ALLOWED = frozenset({"MIT", "Apache-2.0"})


def product(*packages: Package, ships: bool = True) -> Product:
    return Product(name="it", packages=packages, ships=ships)


def package(name: str, ecosystem: str = "pypi", licence: str | None = None) -> Package:
    return Package(ecosystem=ecosystem, name=name, version="1", licence=licence)


def with_licences(policy: Policy, **changes: object) -> Policy:
    return policy.model_copy(update={"licences": policy.licences.model_copy(update=changes)})


@pytest.fixture(name="policy")
def _policy() -> Policy:
    return with_licences(Policy.load(), named={})


def test_what_the_project_uses_is_allowed() -> None:
    assert refused(products(), Policy.load()) == []


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("(MIT OR GPL-3.0-only) AND (Apache-2.0 OR AGPL-3.0-only)", True),
        ("Apache-2.0 WITH LLVM-exception", False),
    ],
)
def test_or_is_a_choice_and_and_is_none(licence: str, expected: bool) -> None:
    assert fulfils(licence, ALLOWED) is expected


def test_what_is_not_allowed_or_not_said_is_named(policy: Policy) -> None:
    wrong = refused(
        [product(package("a", "npm", "GPL-3.0-only"), package("b", "npm", "see file"), package("c", "npm", "MIT"))],
        policy,
    )
    assert wrong == ["it: a 1 is GPL-3.0-only.", "it: b 1 says no licence that is known."]


def test_tools_may_have_what_does_not_ship(policy: Policy) -> None:
    tool = package("a", "npm", "MIT-CMU")
    assert refused([product(tool, ships=False)], policy) == []
    assert refused([product(tool)], policy) == ["it: a 1 is MIT-CMU."]


def test_a_package_that_is_not_installed_has_no_licence_until_it_is_named(policy: Policy) -> None:
    absent = package("no-such-package")
    assert licence_of(absent, policy) is None
    named = with_licences(policy, named={"no-such-package": Named(licence="MIT", because="somebody has looked")})
    assert licence_of(absent, named) == "MIT"
    assert refused([product()], named) == ["policy.yaml names no-such-package, which no lock has."]
