"""What the locks say is what is read from them."""

from pathlib import Path

import pytest

from anfl.resources import Caretaker, Function
from bundling.supply.locks import products, read, read_node

ONE, OTHER = "a" * 64, "b" * 64


def test_everything_that_ships_is_a_product_and_tools_are_one_that_does_not() -> None:
    found = {product.name: product for product in products()}
    assert {f"function-{name}" for name in (*Function, *Caretaker)} <= found.keys()
    assert {"service-vector-store", "service-model-registry", "infrastructure"} <= found.keys()
    assert [name for name, product in found.items() if not product.ships] == ["development"]
    assert all(product.packages for product in found.values())
    assert all(each.hashes for product in found.values() for each in product.packages if each.ecosystem == "pypi")


def test_a_pin_has_its_version_its_hashes_and_no_marker(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text(
        f"b==2.0.post1 ; sys_platform == 'linux' \\\n    --hash=sha256:{ONE}\n"
        f"a-b==1 \\\n    --hash=sha256:{ONE} \\\n    --hash=sha256:{OTHER}\n"
    )
    first, second = read(lock)
    assert (first.name, first.version, first.hashes) == ("a-b", "1", (ONE, OTHER))
    assert (second.name, second.version, second.hashes) == ("b", "2.0.post1", (ONE,))


def test_a_pin_without_a_hash_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"a==1 \\\n    --hash=sha256:{ONE}\nb==2\n")
    with pytest.raises(ValueError, match="without a hash: b"):
        read(lock)


def test_node_packages_may_lie_within_one_another(tmp_path: Path) -> None:
    lock = tmp_path / "package-lock.json"
    lock.write_text(
        '{"packages": {"": {"name": "us"}, "node_modules/@a/b": {"version": "1.0.0", "license": "MIT"},'
        ' "node_modules/@a/b/node_modules/c": {"version": "2.0.0"}}}'
    )
    assert [(each.name, each.version, each.licence) for each in read_node(lock)] == [
        ("@a/b", "1.0.0", "MIT"),
        ("c", "2.0.0", None),
    ]
