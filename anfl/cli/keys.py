"""``anfl keys``: versions of the key that wraps data keys, and where they are on their way to the regions' Vaults."""

import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from anfl.cli.errors import CliError, ExitCode
from anfl.cli.functions import call, local_run
from anfl.cli.options import Json
from anfl.cli.output import console, errors, print_json, print_table
from anfl.crypto.rounds import Answer, Rounds
from anfl.resources import REWRAP, Caretaker, Function
from anfl.wording import counted

Environment = Annotated[
    str | None, typer.Option("--env", help="Environment deployed in your AWS account; default: the local run.")
]
app = typer.Typer(
    no_args_is_help=True, help="The key that wraps data keys: its versions, and the regions that hold them."
)


@app.command()
def status(environment: Environment = None, as_json: Json = False) -> None:
    """Show the active version, the one under way, and what each region's Vault holds."""
    _show(_rounds(environment).status(), as_json=as_json)


@app.command()
def rotate(environment: Environment = None, as_json: Json = False) -> None:
    """Begin a version before its time and bring it to the regions; one that is under way is brought on."""
    failures: dict[str, str] = {}

    def told(region: str, problem: Exception | None) -> None:
        if problem is not None:
            failures[region] = str(problem)
        if not as_json:
            errors.print(f"{region}: {problem or 'done'}")

    answer = _rounds(environment).go(rotate=True, told=told)
    _show(answer, as_json=as_json)
    if failures:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def rewrap(
    environment: Environment = None,
    region: Annotated[
        str | None,
        typer.Option(help="Whose bucket; repeat it for each. Default: the local run's, else your profile's."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Move wrapped keys to the active version, those of a region's bucket and those of webhooks' secrets; in the
    registry's home, seal secrets from before they were sealed. Repeat it where it was interrupted. A schedule does the
    same, but for the sealing."""
    moved = kept = remaining = sealed = 0
    damaged: list[str] = []
    active = 0
    for function in (Function.VECTOR_PROCESSING, Function.WEBHOOK_SIGNER):
        for turn in _turns(function, environment=environment, region=region):
            active, sealed = turn["active"], sealed + turn["sealed"]
            moved, kept, remaining = moved + turn["moved"], kept + turn["kept"], remaining + turn["remaining"]
            damaged += turn["damaged"]
            if not as_json:
                errors.print(f"Under version {active}: {counted(moved + kept, 'key')} …")
    if as_json:
        told = {"active": active, "moved": moved, "kept": kept, "sealed": sealed}
        print_json(told | {"remaining": remaining, "damaged": damaged})
    else:
        console.print(f"Moved to version {active}: {counted(moved, 'key')}; under it already: {kept}.")
        if sealed:
            console.print(f"{counted(sealed, 'secret')} of webhooks stood in clear, and no more.")
        console.print(f"Under earlier versions remain {remaining + len(damaged)}, of which {len(damaged)} are damaged.")
        for place in damaged:
            console.print(f"  {place}", soft_wrap=True)
    if remaining or damaged:
        raise typer.Exit(ExitCode.FAILED)


def _turns(function: Function, *, environment: str | None, region: str | None) -> Iterator[dict[str, Any]]:
    """Have the function go through all its keys; what each of its turns did."""
    after: str | None = ""
    while after is not None:
        event = {"operation": REWRAP, "after": after}
        answer, failed = call(function, event, environment=environment, region=region)
        if failed:
            raise CliError(f"{answer.get('problem', answer).get('detail', answer)} Repeat it: what is done stays done.")
        yield answer["result"]
        after = answer["result"]["after"]


def _rounds(environment: str | None) -> Rounds:
    from stacks.settings import SettingsError, load

    regions: str | None = None
    if environment is None:
        local = local_run()
        name, regions = str(local.get("environment", "dev")), ",".join(local["regions"])
    else:
        name = environment
    try:
        settings = load(name, regions=regions)
    except SettingsError as error:
        raise CliError(str(error), exit_code=ExitCode.USAGE) from error

    def invoke(region: str, function: Caretaker, event: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
        answer, failed = call(function, event, environment=environment, region=region)
        if failed:
            raise CliError(f"{function} in {region}: {answer.get('errorMessage', answer)}")
        return answer

    return Rounds(invoke, home=settings.primary_region.value, regions=[region.value for region in settings.regions])


def _show(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    active, pending = answer["active"], answer["pending"]
    console.print(f"Active: {'none, so nothing can be sealed' if active is None else f'version {active}'}.")
    if pending is not None:
        console.print(f"Under way: version {pending['version']}, begun {_ago(pending['drawn_at'])}.")
    elif answer["versions"]:
        console.print(f"The newest version was begun {_ago(answer['versions'][-1]['drawn_at'])}.")
    rows = [
        {"region": one["region"], "holds": one["held"], "seen": _ago(one["seen_at"]), "problem": one["problem"]}
        for one in answer["regions"]
    ]
    print_table(rows, ("region", "holds", "seen", "problem"), empty="No region takes part yet.")


def _ago(moment: int) -> str:
    minutes = max(0, int(time.time()) - moment) // 60
    for unit, size in (("days", 1440), ("hours", 60)):
        if minutes >= 2 * size:
            return f"{minutes // size} {unit} ago"
    return f"{counted(minutes, 'minute')} ago"
