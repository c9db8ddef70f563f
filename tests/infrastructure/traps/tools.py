"""What cfn-lint, cdk-nag and the validation that is part of every synthesis say of templates.

The latter two look at apps: one app includes all templates, in a process of its own, since the tests' switches the
validation off.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stacks.settings import ROOT
from tests.infrastructure.estate import Place
from tests.infrastructure.test_cfn_lint import lint

CFN_LINT, CDK_NAG, VALIDATION = "cfn-lint", "cdk-nag", "CloudFormation Validate"
_PLUGINS = {"AwsSolutions": CDK_NAG, VALIDATION: VALIDATION}

_WEAK = re.compile(r'\{"Fn::GetStackOutput": \{"StackName": "([^"]*)"[^}]*\}\}')
"""Included templates may not have weak references; to these tools one reference is as opaque as another."""

Report = Counter[tuple[str, str]]
"""How often which rule of which tool found something."""


def reports(places: Mapping[str, Place], folder: Path) -> dict[str, Report]:
    """What each tool says of each template. :param places: by a name for the template."""
    files = {}
    for name, place in places.items():
        files[name] = folder / f"{name}.json"
        files[name].write_text(json.dumps(place.document))
    found: dict[str, Report] = defaultdict(Counter)
    for match in lint((places[name].region, file) for name, file in files.items()):
        found[Path(match["Filename"]).stem][CFN_LINT, match["Rule"]["Id"]] += 1
    for plugin in _synthesize({name: places[name].region for name in files}, folder):
        for violation in plugin["violations"]:
            for construct in violation["violatingConstructs"]:
                name = construct["constructPath"].split("/")[0]
                found[name][_PLUGINS[plugin["pluginName"]], violation["ruleName"]] += 1
    return found


def _synthesize(regions: Mapping[str, str], folder: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.infrastructure.traps.tools", str(folder), json.dumps(regions)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    report = folder / "out" / "validation-report.json"
    assert report.exists(), done.stderr
    plugins: list[dict[str, Any]] = json.loads(report.read_text())["pluginReports"]
    assert {plugin["pluginName"] for plugin in plugins} == _PLUGINS.keys()
    return plugins


def _app(folder: Path, regions: Mapping[str, str]) -> None:
    """Include each template in a stack of its name; fails after the report if anything was found."""
    os.environ["CDK_VALIDATION"] = "true"  # which the tests switch off, and which counts when the CDK starts

    from aws_cdk import App, Environment, Stack, Validations
    from aws_cdk import cloudformation_include as include
    from cdk_nag import AwsSolutionsChecks

    from tests.infrastructure.conftest import CONTEXT

    app = App(outdir=str(folder / "out"), context=CONTEXT, analytics_reporting=False)
    Validations.of(app).add_plugins(AwsSolutionsChecks())
    for name, region in regions.items():
        file = folder / f"{name}.included.json"
        file.write_text(_WEAK.sub(r'{"Fn::ImportValue": "\1"}', (folder / f"{name}.json").read_text()))
        stack = Stack(app, name, env=Environment(region=region))
        include.CfnInclude(stack, "Included", template_file=str(file))
    app.synth()


if __name__ == "__main__":
    _app(Path(sys.argv[1]), json.loads(sys.argv[2]))
