"""``anfl preflight`` and ``anfl estimate``: before a deployment."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anfl.cli.errors import CliError, ExitCode
from anfl.cli.options import Json
from anfl.cli.output import console, errors, print_json

if TYPE_CHECKING:
    from deployment.rollout import Rollout

Environment = Annotated[str, typer.Option("--env", help="Environment that is deployed.")]
Regions = Annotated[
    list[str] | None, typer.Option("--region", help="Only this region and the global stacks it needs; repeatable.")
]
Folder = Annotated[
    Path | None,
    typer.Option("--templates", file_okay=False, help="Synthesized templates (cdk.out). Default: written anew."),
]


def register(app: typer.Typer) -> None:
    """Add the two commands to ``app``."""
    for command in (preflight, estimate):
        app.command()(command)


def preflight(
    *,
    environment: Environment = "prod",
    region: Regions = None,
    dns: Annotated[bool, typer.Option("--dns", help="Only: are the zones delegated?")] = False,
    tls: Annotated[bool, typer.Option("--tls", help="Only, once deployed: which TLS is negotiated?")] = False,
    templates: Folder = None,
    as_json: Json = False,
) -> None:
    """Check the AWS account before a deployment; exit code 1 where something would fail, or could not be checked."""
    from deployment.preflight import report
    from deployment.preflight.account import CredentialsError, UnansweredError, from_environment
    from deployment.preflight.delegation import PublicDns
    from deployment.preflight.plan import Scope, caller, checks_for
    from deployment.preflight.results import passes
    from deployment.preflight.running import run

    if dns and tls:
        raise CliError("Choose one of --dns and --tls.", exit_code=ExitCode.USAGE)
    scope = Scope.DNS if dns else Scope.TLS if tls else Scope.DEPLOYMENT
    rollout = _rollout(environment, region or (), templates)
    try:
        account = from_environment()
        try:
            who = caller(account, rollout)
        except UnansweredError:
            who = None  # each check says so for itself
        if not as_json:
            console.print(
                f"Preflight of {environment} in {', '.join(rollout.regions)}: {who.arn if who else 'unknown'}"
            )
        with errors.status("Checking …") as status:
            results = run(
                checks_for(scope, account, rollout, PublicDns()),
                progress=lambda made, total: status.update(f"Checking … {made}/{total}"),
            )
    except CredentialsError as error:
        raise CliError(
            f"{error}. Set AWS_PROFILE, or credentials in the environment.", exit_code=ExitCode.USAGE
        ) from error
    if as_json:
        print_json(report.document(rollout, who, results))
    else:
        for line in report.lines(results):
            console.print(line)
    if not passes(results):
        raise typer.Exit(ExitCode.FAILED)


def estimate(
    *,
    environment: Environment = "prod",
    region: Regions = None,
    templates: Folder = None,
    as_json: Json = False,
) -> None:
    """Estimate what an environment costs a month, from its templates and a dated table of prices."""
    from deployment.estimate import report
    from deployment.estimate.calculation import calculate
    from deployment.estimate.prices import EstimateError, load

    rollout = _rollout(environment, region or (), templates)
    try:
        found = calculate(rollout, load())
    except EstimateError as error:
        raise CliError(str(error)) from error
    if as_json:
        print_json(report.document(found))
    else:
        for line in report.lines(found):
            console.print(line)


def _rollout(environment: str, regions: Sequence[str], folder: Path | None) -> "Rollout":
    from deployment.rollout import RolloutError, read

    try:
        with _templates(environment, folder) as found:
            rollout = read(found, regions=regions)
    except RolloutError as error:
        raise CliError(str(error), exit_code=ExitCode.USAGE) from error
    if rollout.settings.environment != environment:
        raise CliError(
            f"{folder} holds {rollout.settings.environment}, not {environment}; leave --templates out, "
            f"or run: make synth ENV={environment}",
            exit_code=ExitCode.USAGE,
        )
    return rollout


@contextmanager
def _templates(environment: str, folder: Path | None) -> Iterator[Path]:
    """``folder``, or one that lives as long as it is needed."""
    if folder is not None:
        yield folder
        return
    from deployment.rollout import synthesize

    with tempfile.TemporaryDirectory(prefix="anfl-") as temporary:
        with errors.status(f"Synthesizing {environment} …"):
            synthesize(environment, Path(temporary))
        yield Path(temporary)
