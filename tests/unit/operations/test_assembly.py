"""What leads from one set of templates to another."""

import json
from pathlib import Path

from operations.assembly import Assembly, difference


def assembly(folder: Path, **stacks: tuple[str, dict[str, str], list[str]]) -> Assembly:
    """:param stacks: name → region, template, names of stacks that must stand before."""
    folder.mkdir()
    artifacts = {}
    for name, (region, template, dependencies) in stacks.items():
        (folder / f"{name}.json").write_text(json.dumps(template))
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": f"aws://unknown-account/{region}",
            "properties": {"templateFile": f"{name}.json"},
            "dependencies": [*dependencies, f"{name}.assets"],
        }
        artifacts[f"{name}.assets"] = {"type": "cdk:asset-manifest"}
    (folder / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    return Assembly.read(folder)


def test_stacks_go_after_those_that_need_them_and_come_after_those_that_they_need(tmp_path: Path) -> None:
    before = assembly(
        tmp_path / "before",
        edge=("west", {"a": "1"}, ["service"]),
        service=("west", {"a": "1"}, ["network"]),
        network=("west", {"a": "1"}, []),
        kept=("east", {"a": "1"}, []),
    )
    after = assembly(
        tmp_path / "after",
        kept=("east", {"a": "1"}, []),
        last=("east", {"a": "1"}, ["first"]),
        first=("east", {"a": "1"}, ["kept"]),
    )
    found = difference(before, after)
    assert found.destroyed == [("edge", "west"), ("service", "west"), ("network", "west")]
    assert found.deployed == [("first", "east"), ("last", "east")]


def test_a_stack_that_moves_to_another_region_goes_there_and_comes_here(tmp_path: Path) -> None:
    before = assembly(tmp_path / "before", watch=("west", {"a": "1"}, []), data=("east", {"a": "1"}, []))
    after = assembly(tmp_path / "after", watch=("east", {"a": "1"}, []), data=("east", {"a": "2"}, []))
    found = difference(before, after)
    assert found.destroyed == [("watch", "west")]
    assert sorted(found.deployed) == [("data", "east"), ("watch", "east")]
