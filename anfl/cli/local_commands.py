"""``anfl up``, ``down``, ``status``: the whole system on this machine."""

from pathlib import Path
from typing import Annotated, Any

import typer

from anfl.cli.errors import CliError, ExitCode
from anfl.cli.options import Json
from anfl.cli.output import console, print_json, print_table

StateDir = Annotated[
    Path | None,
    typer.Option("--state-dir", file_okay=False, help="Folder for logs, addresses and tokens. Default: .anfl"),
]


def register(app: typer.Typer) -> None:
    """Add the three commands to ``app``."""
    for command in (up, down, status):
        app.command()(command)


def up(
    *,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the gateway. Default: 8420.")] = None,
    regions: Annotated[
        str | None, typer.Option(help="'all', or names joined by commas. Default: the environment's own.")
    ] = None,
    environment: Annotated[str, typer.Option("--env", help="Environment whose templates are deployed.")] = "dev",
    nodes: Annotated[
        int, typer.Option(min=1, max=8, help="Tasks of the vector store, which share its collections out.")
    ] = 1,
    tls: Annotated[
        bool, typer.Option("--tls", help="The gateway serves TLS 1.3 alone, by an authority of its own.")
    ] = False,
    sample: Annotated[bool, typer.Option(help="Load 2,000 sample embeddings through the API.")] = True,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Run everything here, as the templates declare it, until Ctrl-C or 'anfl down'."""
    from local.up import DEFAULT_PORT, Options, run

    options = Options(
        port=port or DEFAULT_PORT,
        regions=regions,
        environment=environment,
        nodes=nodes,
        tls=tls,
        sample=sample,
        state=_directory(state_dir),
        as_json=as_json,
    )
    raise typer.Exit(run(options))


def down(state_dir: StateDir = None, as_json: Json = False) -> None:
    """Stop the local run, wherever it was started."""
    from local.down import stop
    from local.state import StateDirectory

    stopped = stop(StateDirectory(_directory(state_dir)))
    if as_json:
        print_json({"stopped": stopped is not None})
    else:
        console.print(stopped or "Nothing is running.")


def status(state_dir: StateDir = None, as_json: Json = False) -> None:
    """What runs, where it listens, and whether it is well; exit code 1 where something is not."""
    from local.state import StateDirectory
    from local.status import inspect

    found = inspect(StateDirectory(_directory(state_dir)))
    if found is None:
        raise CliError("Nothing is running: start it with 'make run' or 'anfl up'.", exit_code=ExitCode.FAILED)
    if as_json:
        print_json(found)
    else:
        _print_status(found)
    if not found["ready"]:
        raise typer.Exit(ExitCode.FAILED)


def _print_status(found: dict[str, Any]) -> None:
    state = "is up" if found["ready"] else "is starting" if found["starting"] else "is not well"
    console.print(f"ANFL {state}: {found['api']} (pid {found['pid']})")
    print_table(found["programs"], ["program", "pid", "address", "state"], empty="")
    if found["placeholders"]:
        console.print(f"\nDeployed as placeholders only, which prove nothing: {', '.join(found['placeholders'])}")


def _directory(chosen: Path | None) -> Path:
    from local.state import DEFAULT_DIRECTORY

    return chosen or DEFAULT_DIRECTORY
