"""``anfl classes``: for which collections an environment keeps tables of the engine ``dynamodb``."""

from typing import Annotated

import typer

from anfl.cli.errors import CliError, ExitCode
from anfl.cli.functions import local_run
from anfl.cli.options import Json
from anfl.cli.output import print_json, print_table

_COLUMNS = ("name", "dimension", "metric", "strings", "numbers", "table")


def classes(
    environment: Annotated[
        str | None, typer.Option("--env", help="Environment of this repository's settings; default: the local run's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the classes that a collection with the engine 'dynamodb' can be of: dimension, metric, filter slots."""
    from anfl.resources import engine_class_table
    from stacks.settings import SettingsError, load

    name = environment or str(local_run().get("environment", "dev"))
    try:
        declared = load(name).deployment.engine_classes
    except SettingsError as error:
        raise CliError(str(error), exit_code=ExitCode.USAGE) from error
    rows = [each.model_dump() | {"table": engine_class_table(name, each.name)} for each in declared]
    if as_json:
        print_json({"environment": name, "classes": rows})
    else:
        print_table(rows, _COLUMNS, empty=f"{name} has no classes: deployment.engine_classes declares them.")
