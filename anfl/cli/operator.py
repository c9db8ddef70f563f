"""``anfl cleanup``, ``destroy``, ``regions remove``: what an operator does to an environment in an AWS account."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anfl.cli.errors import CliError, ExitCode
from anfl.cli.options import Json
from anfl.cli.output import console, errors, print_json, print_table

if TYPE_CHECKING:
    from operations.cleanup.finding import Finding
    from operations.stacks import StackResource
    from stacks.models import Settings

_FINDING = ("action", "kind", "name", "region", "why")
_STAYS = ("region", "type", "name", "stack")
Environment = Annotated[str, typer.Option("--env", help="Environment in the account of your AWS credentials.")]
SettingsFolder = Annotated[
    Path | None,
    typer.Option("--settings", exists=True, file_okay=False, help="Folder of the settings. Default: this repository."),
]
Confirm = Annotated[str | None, typer.Option(help="The environment's name, for scripts that can answer no question.")]

regions = typer.Typer(no_args_is_help=True, help="Regions of an environment.")


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(cleanup)
    app.command()(destroy)
    app.add_typer(regions, name="regions")


def cleanup(
    environment: Environment,
    failed: Annotated[bool, typer.Option("--failed", help="What a failed first deployment left behind.")] = False,
    region: Annotated[str | None, typer.Option(help="Only there. Default: every region of the environment.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    settings: SettingsFolder = None,
    as_json: Json = False,
) -> None:
    """Remove what failed deployments left behind: never what a stack that is well has, nor what holds data."""
    if not failed:
        raise CliError("Say what is to be cleaned up: --failed.", exit_code=ExitCode.USAGE)
    if as_json and not (dry_run or yes):
        raise CliError("With --json say --dry-run or --yes.", exit_code=ExitCode.USAGE)
    with _told():
        from operations.cleanup.search import leftovers
        from operations.cloud import Cloud

        found = _load(environment, settings)
        places = [place for place in found.all_regions if region in (None, place)]
        if not places:
            allowed = ", ".join(found.all_regions)
            raise CliError(f"--region: {region} is none of {environment}'s: {allowed}", exit_code=ExitCode.USAGE)
        look = partial(leftovers, Cloud(), found, places)
        findings = look()
        if not as_json:
            print_table([finding.as_row() for finding in findings], _FINDING, empty="Nothing is left over.")
        failures = {} if dry_run else _clean_up(findings, look_again=None if yes else look)
    if as_json:
        rows = [finding.as_row() | _outcome(finding, failures, dry_run) for finding in findings]
        print_json({"environment": environment, "findings": rows})
    if any(failures.values()):
        raise typer.Exit(ExitCode.FAILED)


def _clean_up(
    findings: Sequence["Finding"], *, look_again: Callable[[], list["Finding"]] | None
) -> dict[str, str | None]:
    """(region, kind and name) of what was dealt with → what went wrong. :param look_again: None: nobody is asked."""
    from operations.cleanup.finding import Action
    from operations.cleanup.search import agreed, clean_up

    count = sum(finding.action is not Action.LEAVE for finding in findings)
    if not count:
        return {}
    if look_again is not None:
        if not typer.confirm(f"Do that with these {count}?", err=True):
            raise CliError("Nothing was done.", exit_code=ExitCode.FAILED)
        findings = agreed(findings, look_again())
    outcome: dict[str, str | None] = {}

    def tell(finding: "Finding", problem: str | None) -> None:
        outcome[_id(finding)] = problem
        errors.print(f"{finding.action} {finding.kind} {finding.name}: {problem or 'done'}")

    clean_up(findings, tell=tell)
    return outcome


def _id(finding: "Finding") -> str:
    return f"{finding.region} {finding.kind} {finding.name}"


def _outcome(finding: "Finding", outcomes: dict[str, str | None], dry_run: bool) -> dict[str, object]:
    if dry_run or _id(finding) not in outcomes:
        return {"done": False}
    problem = outcomes[_id(finding)]
    return {"done": problem is None} | ({} if problem is None else {"error": problem})


@regions.command("remove")
def remove(
    region: Annotated[str, typer.Argument(help="Which one.")],
    environment: Environment,
    drain_seconds: Annotated[
        float, typer.Option(min=0, max=86_400, help="Between sending nobody there and closing its doors.")
    ] = 600,
    confirm: Confirm = None,
    settings: SettingsFolder = None,
    as_json: Json = False,
) -> None:
    """Take a region away while the others go on serving; repeat it where it was interrupted."""
    with _told():
        from operations.cloud import Cloud
        from operations.removal import Removal, Request, check

        cloud = Cloud()
        check(cloud, environment, region, _root(settings))
        request = Request(
            environment=environment,
            region=region,
            settings=_root(settings),
            work=_work(environment),
            drain_seconds=drain_seconds,
        )
        removal = Removal(request, cloud, tell=errors.print)
        errors.print(f"Account {cloud.account}: synthesizing {environment} with and without {region} …")
        changes = _run(removal.synthesize())
        staying = removal.staying()
        rows = [{"action": "destroy", "stack": name, "region": place} for name, place in changes.destroyed]
        rows += [{"action": "deploy", "stack": name, "region": place} for name, place in changes.deployed]
        if not as_json:
            print_table(rows, ("action", "stack", "region"), empty="")
            _print_staying(staying)
        _confirm(removal.before, confirm, f"remove {region}")
        _run(removal.run())
    if as_json:
        print_json({"environment": environment, "removed": region, "stacks": rows, "stays": _rows(staying)})
    else:
        console.print(f"{region} is no part of {environment} any more.")


def destroy(
    environment: Environment, confirm: Confirm = None, settings: SettingsFolder = None, as_json: Json = False
) -> None:
    """Destroy every stack of an environment; data that it keeps stays behind, and is listed."""
    with _told():
        from operations.cloud import Cloud
        from operations.destruction import Destruction

        found, cloud = _load(environment, settings), Cloud()
        errors.print(f"Account {cloud.account}: synthesizing {environment} …")
        destruction = Destruction(
            environment=environment,
            settings=_root(settings),
            work=_work(environment),
            cloud=cloud,
            tell=errors.print,
        )
        _run(destruction.synthesize())
        standing, staying = destruction.standing(), destruction.staying()
        if not as_json:
            rows = [{"stack": stack.name, "region": stack.region, "status": stack.status} for stack in standing]
            print_table(rows, ("stack", "region", "status"), empty="Nothing of it is deployed.")
            _print_staying(staying)
        if standing:
            _confirm(found, confirm, "destroy all of it")
            _run(destruction.run())
    if as_json:
        destroyed = [{"stack": stack.name, "region": stack.region} for stack in standing]
        print_json({"environment": environment, "destroyed": destroyed, "stays": _rows(staying)})
    elif standing:
        console.print(f"{environment} is destroyed.")


def _print_staying(staying: Sequence["StackResource"]) -> None:
    console.print("\nWhat stays behind, with what it holds and costs (its name stays taken):")
    print_table(_rows(staying), _STAYS, empty="nothing")


def _rows(staying: Sequence["StackResource"]) -> list[dict[str, str]]:
    from operations.retained import as_row

    return [as_row(resource) for resource in staying]


def _confirm(settings: "Settings", confirm: str | None, doing: str) -> None:
    """Where data is at stake the environment's name must be typed.

    :raises CliError: the answer is no, or another name.
    """
    name = settings.environment
    if confirm is None and not settings.deployment.retain_data:
        if typer.confirm(f"{name}: {doing}?", err=True):
            return
        raise CliError("Nothing was done.", exit_code=ExitCode.FAILED)
    answer = typer.prompt(f"Type '{name}' to {doing}", err=True) if confirm is None else confirm
    if answer != name:
        raise CliError(f"{answer!r} is not {name!r}: nothing was done.", exit_code=ExitCode.USAGE)


def _root(settings: Path | None) -> Path:
    from stacks.settings import ROOT

    return ROOT if settings is None else settings.resolve()


def _load(environment: str, settings: Path | None) -> "Settings":
    from stacks.settings import load

    return load(environment, root=_root(settings))


def _work(environment: str) -> Path:
    from operations.toolkit import REPOSITORY

    folder = REPOSITORY / ".anfl" / "operations" / environment
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - what it returns
    return asyncio.run(work)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what can go wrong into messages and exit codes."""
    from operations.errors import OperationError, RefusedError
    from stacks.settings import SettingsError

    try:
        yield
    except SettingsError as error:
        raise CliError(str(error), exit_code=ExitCode.USAGE) from error
    except RefusedError as error:
        raise CliError(str(error), exit_code=ExitCode.CONFLICT) from error
    except OperationError as error:
        raise CliError(str(error)) from error
    except KeyboardInterrupt:
        raise CliError("Interrupted: repeat the command to go on from here.", exit_code=ExitCode.INTERRUPTED) from None
