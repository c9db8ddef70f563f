"""One synthesis a session and environment, and what tests ask its templates."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stacks.settings import ROOT, load

if TYPE_CHECKING:
    from aws_cdk import App

# jsii starts whatever `node` stands first on PATH; the environment brings the right one.
os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
os.environ["CDK_VALIDATION"] = "false"
os.environ.pop("NODE_COMPILE_CACHE", None)  # jsii's own kernel finds nothing there, and keeps all of it once more

CONTEXT: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text())["context"] | {"aws:cdk:bundling-stacks": []}
"""The app's own flags, and no bundles: nothing here runs them."""

Properties = dict[str, Any]


class Template:
    """One synthesized template."""

    def __init__(self, name: str, document: dict[str, Any]) -> None:
        self.name = name
        self.document = document

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """Whole resources of a type by logical id."""
        return {
            name: resource for name, resource in self.document.get("Resources", {}).items() if resource["Type"] == kind
        }

    def properties(self, kind: str) -> list[Properties]:
        """Properties of every resource of a type; fails where there is none, so that no loop over it is vacuous."""
        found = [resource.get("Properties", {}) for resource in self.resources(kind).values()]
        assert found, f"{self.name} has no {kind}"
        return found

    def only(self, kind: str, **wanted: object) -> Properties:
        """Properties of the one resource of a type that has the ``wanted`` ones."""
        found = [p for p in self.properties(kind) if wanted.items() <= p.items()]
        assert len(found) == 1, f"{self.name} has {len(found)} {kind} with {wanted}"
        return found[0]


class Assembly:
    """All templates of one environment."""

    def __init__(self, folder: Path, app: "App | None" = None) -> None:
        """:param app: what was synthesized into ``folder``."""
        self.folder = folder
        self.app = app
        self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())["artifacts"]
        self.stacks = {
            name: Template(name, json.loads((folder / artifact["properties"]["templateFile"]).read_text()))
            for name, artifact in self.manifest.items()
            if artifact["type"] == "aws:cloudformation:stack"
        }

    def __getitem__(self, name: str) -> Template:
        return self.stacks[name]

    def __iter__(self) -> Iterator[Template]:
        return iter(self.stacks.values())

    def regional(self, layer: str) -> dict[str, Template]:
        """The stacks of one layer, by region."""
        return {
            self.region_of(name): stack
            for name, stack in self.stacks.items()
            if name.endswith(f"-{layer}") and "-global-" not in name
        }

    def region_of(self, name: str) -> str:
        """Where a stack is deployed."""
        return str(self.manifest[name]["environment"].rsplit("/", 1)[1])

    def paths(self, name: str) -> dict[str, str]:
        """Path below its stack of the construct behind each logical id."""
        file = self.folder / self.manifest[name]["additionalMetadataFile"]
        return {
            entry["data"]: path.removeprefix(f"/{name}/")
            for path, entries in json.loads(file.read_text()).items()
            for entry in entries
            if entry["type"] == "aws:cdk:logicalId"
        }

    def dependencies(self, name: str) -> set[str]:
        """Stacks that must stand before this one."""
        return set(self.manifest[name].get("dependencies", [])) & self.stacks.keys()


def synthesize(folder: Path, environment: str, regions: str | None = None, root: Path = ROOT) -> Assembly:
    """Write the templates of an environment to ``folder``. :param root: where its settings stand."""
    from aws_cdk import App

    from stacks.acknowledgements import acknowledge
    from stacks.build import build

    app = App(outdir=str(folder), context=CONTEXT, analytics_reporting=False, tree_metadata=False)
    settings = load(environment, regions=regions, root=root)
    build(app, settings)
    acknowledge(app, settings)
    app.synth()
    return Assembly(folder, app)


@pytest.fixture(scope="session")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return synthesize(tmp_path_factory.mktemp("prod"), "prod")


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return synthesize(tmp_path_factory.mktemp("dev"), "dev")


@pytest.fixture(scope="session", params=["prod", "dev"])
def assembly(request: pytest.FixtureRequest) -> Assembly:
    """Each environment in turn."""
    found: Assembly = request.getfixturevalue(request.param)
    return found


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-snapshots", action="store_true", help="write the snapshots anew instead of comparing")


@pytest.fixture
def inspect_construct(tmp_path: Path) -> Callable[[Callable[[Any], object]], Template]:
    """Synthesize one stack in eu-west-1 that a test fills, and get its template."""
    from aws_cdk import App, Environment, Stack

    def inspect(fill: Callable[[Any], object]) -> Template:
        app = App(outdir=str(tmp_path / "out"), context=CONTEXT, analytics_reporting=False, tree_metadata=False)
        stack = Stack(app, "Test", env=Environment(region="eu-west-1"))
        fill(stack)
        app.synth()
        return Assembly(tmp_path / "out")["Test"]

    return inspect
