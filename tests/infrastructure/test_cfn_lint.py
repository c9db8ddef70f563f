"""cfn-lint over every template, for the region that the template is for: a type that AWS lacks there is an error."""

import hashlib
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.infrastructure.conftest import Assembly

STAND = {
    "W3005": "the CDK lets a function wait for both its role and the role's policy; naming the role twice does no harm",
    "W3010": "zones come from the settings, so that synthesis looks nothing up",
}
"""Warnings that stand; no error does."""

Match = dict[str, Any]


def lint(files: Iterable[tuple[str, Path]]) -> list[Match]:
    """What cfn-lint says of files, each for its region; a process a region."""
    regions = defaultdict[str, list[Path]](list)
    for region, file in files:
        regions[region].append(file)
    running = [_start(["--regions", region, "--", *map(str, paths)]) for region, paths in regions.items()]
    matches: list[Match] = []
    for process in running:
        out, error = process.communicate(timeout=300)
        assert not error, error
        matches += json.loads(out)
    return matches


def _start(arguments: Sequence[str]) -> subprocess.Popen[str]:
    command = [str(Path(sys.executable).parent / "cfn-lint"), "--format", "json", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lint_changed(files: Sequence[tuple[str, Path]], cache: pytest.Cache) -> list[Match]:
    """As `lint`, but of a template that it has seen it says what it said: nothing but the text and its version decide.

    Half a minute of processor time otherwise, of which a change of one layer needs a tenth.
    """

    def key(region: str, file: Path) -> str:
        said = f"{version('cfn-lint')} {region} {file.name}\n{file.read_text()}"
        return f"cfn-lint/{hashlib.sha256(said.encode()).hexdigest()}"

    keys = {str(file): key(region, file) for region, file in files}
    missing = [(region, file) for region, file in files if cache.get(keys[str(file)], None) is None]
    found = lint(missing)
    for _, file in missing:
        cache.set(keys[str(file)], [match for match in found if match["Filename"] == str(file)])
    return [match for key in keys.values() for match in cache.get(key, [])]


@pytest.fixture(scope="module")
def said(prod: Assembly, dev: Assembly, request: pytest.FixtureRequest) -> list[Match]:
    """About the templates of both environments."""
    files = [
        (assembly.region_of(stack.name), assembly.folder / f"{stack.name}.template.json")
        for assembly in (prod, dev)
        for stack in assembly
    ]
    return lint_changed(files, request.config.cache)


def test_no_template_has_an_error_in_its_region(said: list[Match]) -> None:
    found = {
        f"{Path(match['Filename']).name}: {match['Rule']['Id']}: {match['Message']} "
        f"({'/'.join(map(str, match['Location']['Path'] or []))})"
        for match in said
        if match["Rule"]["Id"] not in STAND
    }
    assert not found, "\n".join(sorted(found))


def test_every_warning_that_stands_is_given(said: list[Match]) -> None:
    assert STAND.keys() == {match["Rule"]["Id"] for match in said} & STAND.keys()
    assert all(rule.startswith("W") for rule in STAND)


DOCTORED: dict[str, tuple[str, dict[str, Any]]] = {
    "E3006": ("us-west-1", {"Type": "AWS::Grafana::Workspace"}),  # there is none in this region
    "E3002": ("us-east-1", {"Type": "AWS::S3::Bucket", "Properties": {"BucketNam": "name"}}),
    "E1020": ("us-east-1", {"Type": "AWS::SQS::Queue", "Properties": {"KmsMasterKeyId": {"Ref": "Nothing"}}}),
}
"""By the rule that must find it: region and resource."""


def test_doctored_templates_are_found(tmp_path: Path) -> None:
    files = []
    for rule, (region, resource) in DOCTORED.items():
        files.append((region, tmp_path / f"{rule}.json"))
        files[-1][1].write_text(json.dumps({"Resources": {"Doctored": resource}}))
    found = {(Path(match["Filename"]).stem, match["Rule"]["Id"]) for match in lint(files)}
    assert {(rule, rule) for rule in DOCTORED} <= found
