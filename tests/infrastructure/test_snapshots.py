"""Readable snapshots of every stack: they show *what* a change changes; the other tests say what must hold.

``make update-snapshots`` writes them anew. That regions differ in names alone is asserted besides.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundling import functions, images
from bundling.sources import digest
from stacks.settings import load
from stacks.units import Region
from tests.infrastructure.conftest import Assembly, Properties, Template, synthesize
from tests.infrastructure.test_api import integration, routes

FOLDER = Path(__file__).parent / "snapshots"


def _route(operation: Properties) -> str:
    schemes = [name for requirement in operation["security"] for name in requirement]
    return f"{' '.join(schemes) or 'public'} {integration(operation)['type']}"


def normalised(stack: Template) -> dict[str, Any]:
    """The template without what changes with every source file, and with its routes as a table."""
    document = json.loads(json.dumps(stack.document))
    resources = document["Resources"]
    for resource in resources.values():
        if resource["Type"] == "AWS::ApiGateway::RestApi":
            document["Routes"] = {
                f"{verb} {path}": _route(found)
                for (verb, path), found in sorted(routes(stack).items(), key=lambda item: item[0][::-1])
            }
            resource["Properties"]["Body"].pop("paths")
    for boilerplate in ("Parameters", "Rules"):
        found = document.get(boilerplate, {})
        found.pop("BootstrapVersion", None)
        found.pop("CheckBootstrapVersion", None)
        if not found:
            document.pop(boilerplate, None)
    text = json.dumps(document)
    text = re.sub(r"\b[0-9a-f]{64}\b", "<hash>", text)
    text = re.sub(r"(/anfl-[a-z-]+:)[0-9a-f]{20}", r"\1<content>", text)
    text = re.sub(r"ApiDeployment[0-9a-f]{24}\w{8}", "ApiDeployment<content>", text)
    return dict(json.loads(text))


def test_templates_are_as_in_their_snapshots(assembly: Assembly, pytestconfig: pytest.Config) -> None:
    update = pytestconfig.getoption("--update-snapshots")
    different = []
    for stack in assembly:
        file = FOLDER / f"{stack.name}.yaml"
        text = yaml.dump(normalised(stack), Dumper=yaml.CSafeDumper, sort_keys=True, width=120)
        if update:
            FOLDER.mkdir(exist_ok=True)
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            different.append((file, text))
    if different:
        file, text = different[0]
        names = ", ".join(file.stem for file, _ in different)
        assert text.splitlines() == (file.read_text().splitlines() if file.exists() else []), (
            f"changed: {names}. If that is meant, run make update-snapshots and look at the difference"
        )


def code(assembly: Assembly) -> dict[tuple[str, str], str]:
    """What each function and each container runs, by stack and logical id."""
    found = {}
    for stack in assembly:
        for name, resource in stack.resources("AWS::Lambda::Function").items():
            found[stack.name, name] = json.dumps(resource["Properties"]["Code"])
        for name, resource in stack.resources("AWS::ECS::TaskDefinition").items():
            container, _ = resource["Properties"]["ContainerDefinitions"]  # beside it stands a release of AWS's
            found[stack.name, name] = json.dumps(container["Image"])
    return found


def ships(assembly: Assembly, stack: Template) -> bool:
    """Whether a stack's manifest of assets has one beside the template."""
    manifest = json.loads((assembly.folder / f"{stack.name}.assets.json").read_text())
    return len(manifest["files"]) > 1


@pytest.fixture
def edited_sources(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every function and every service as if a line of its sources had changed."""
    for module in (functions, images):
        monkeypatch.setattr(module, "digest", lambda files, *rest: digest(files, *rest, "another line"))
    functions.bundle_for.cache_clear()
    images.image_for.cache_clear()
    yield
    functions.bundle_for.cache_clear()
    images.image_for.cache_clear()


@pytest.mark.usefixtures("edited_sources")
def test_new_sources_change_templates_and_no_snapshot(assembly: Assembly, tmp_path: Path) -> None:
    """Of every stack that ships code, in every region; what its functions and containers run is all that changes."""
    (environment,) = {stack.name.split("-")[1] for stack in assembly}
    rebuilt = synthesize(tmp_path / "rebuilt", environment)
    before, after = code(assembly), code(rebuilt)
    assert before.keys() == after.keys()
    assert not [place for place in before if before[place] == after[place]]
    different = {stack.name for stack in rebuilt if stack.document != assembly[stack.name].document}
    assert different == {stack for stack, _ in before}
    assert different >= {stack.name for stack in assembly if ships(assembly, stack)}
    for stack in rebuilt:
        assert normalised(stack) == normalised(assembly[stack.name])


def test_no_snapshot_is_left_over_from_a_stack_that_is_gone(
    prod: Assembly, dev: Assembly, pytestconfig: pytest.Config
) -> None:
    wanted = {stack.name for assembly in (prod, dev) for stack in assembly}
    for file in FOLDER.glob("*.yaml"):
        if file.stem not in wanted and pytestconfig.getoption("--update-snapshots"):
            file.unlink()
    assert {file.stem for file in FOLDER.glob("*.yaml")} == wanted


@pytest.mark.parametrize(
    "layer", ["network", "storage", "telemetry", "monitoring", "recovery", "security", "service", "edge", "vault"]
)
def test_regions_differ_in_names_alone(prod: Assembly, layer: str) -> None:
    settings = load("prod")

    def neutral(region: str) -> str:
        document = normalised(prod.regional(layer)[region])
        for part in ("Resources", "Outputs"):  # Grafana exists in some regions only
            document[part] = {k: v for k, v in document.get(part, {}).items() if not k.startswith("Grafana")}
        text = json.dumps(document, sort_keys=True)
        # The key's ARN comes by import from a replica's stack, or by weak reference from the primary's.
        text = re.sub(r'\{"Fn::ImportValue": "anfl-prod-global-replica-keys-[^"]*"\}', '"<key>"', text)
        text = re.sub(r'\{"Fn::GetStackOutput": \{[^{}]*"anfl-prod-global-keys"\}\}', '"<key>"', text)
        # Every bucket knows the roles as which S3 replicates from any region.
        text = re.sub(r"anfl-prod-replication-[a-z]+-[a-z]+-\d", "<replication>", text)
        text = re.sub(r'"Region": "us-east-1", "StackName": "anfl-prod-global-(dns|edge)"', r'"<\1>"', text)
        # Alarms over a region stand in its guardian.
        text = re.sub(r'("Name": "anfl-prod-(?:answers|drained)-[\w-]+", "Region": )"[\w-]+"', r'\1"<guardian>"', text)
        # Each is told of all of them.
        text = re.sub(r'("Name": "REGION_ENDPOINTS", "Value": )"(?:[^"\\]|\\.)*"', r'\1"<all>"', text)
        # And which one writes the registry: a service in a list of variables, a function by name.
        text = re.sub(r'("Name": "REGISTRY_HOME", "Value": |"REGISTRY_HOME": )"[\w-]+"', r'\1"<home>"', text)
        text = re.sub(r'"pl-[0-9a-f]+"', '"<AWS\'s addresses>"', text)
        places = {
            "guardian": settings.guardian(Region(region)),
            "ward": settings.ward(Region(region)),
            "region": region,
        }
        for place, name in places.items():
            text = text.replace(str(name), f"<{place}>").replace(str(name).replace("-", ""), f"<{place}>")
        return re.sub(r"(?<=[A-Za-z])[0-9A-F]{8,}\b", "<id>", text)

    first, *others = (neutral(region) for region in prod.regional(layer))
    for other in others:
        assert other == first
