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
    assert {"pytest", "pybind11", "uv", "ziglang"} <= {each.name for each in found["development"].packages}
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


@pytest.mark.parametrize(
    "line",
    [
        "b==2",
        f"b==2 --hash=sha512:{ONE}",
        f"B==2 \\\n    --hash=sha256:{ONE}",
        f"b[more]==2 \\\n    --hash=sha256:{ONE}",
        f"b>=2 \\\n    --hash=sha256:{ONE}",
        f"b == 2 \\\n    --hash=sha256:{ONE}",
        f"b @ https://example.test/b.whl --hash=sha256:{ONE}",
        "--extra-index-url https://example.test",
        "-r others.txt",
        "a==3",
    ],
)
def test_what_pip_would_take_and_nobody_would_see_is_refused(tmp_path: Path, line: str) -> None:
    """A lock that somebody has edited by hand."""
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"# made by uv\na==1 ; sys_platform == 'linux' \\\n    --hash=sha256:{ONE}\n    # via c\n{line}\n")
    with pytest.raises(ValueError, match="no pin with hashes"):
        read(lock)


@pytest.mark.parametrize("separator", ["\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_a_comment_ends_where_pip_ends_a_line(tmp_path: Path, separator: str) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text(
        f"a==1 \\\n    --hash=sha256:{ONE}\n    # via c{separator}b @ https://example.test/b.whl\n", newline=""
    )
    with pytest.raises(ValueError, match="no pin with hashes: b @"):
        read(lock)


def test_a_comment_does_not_say_how_pip_is_to_decode_the_rest(tmp_path: Path) -> None:
    """In UTF-7 ``+AAo-`` is the end of a line, and of a comment."""
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"# -*- coding: utf-7 -*-\n# via c+AAo-b==2\na==1 \\\n    --hash=sha256:{ONE}\n")
    with pytest.raises(ValueError, match="no pin with hashes"):
        read(lock)


def test_node_packages_may_lie_within_one_another(tmp_path: Path) -> None:
    lock = tmp_path / "package-lock.json"
    lock.write_text(
        '{"packages": {"": {"name": "us"}, "node_modules/@a/b": {"version": "1.0.0", "license": "MIT"},'
        ' "node_modules/@a/b/node_modules/c": {"version": "2.0.0"},'
        ' "node_modules/known": {"name": "another", "version": "3.0.0"}}}'
    )
    assert [(each.name, each.version, each.licence) for each in read_node(lock)] == [
        ("@a/b", "1.0.0", "MIT"),
        ("another", "3.0.0", None),
        ("c", "2.0.0", None),
    ]
