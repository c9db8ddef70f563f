"""Options that many commands share."""

from typing import Annotated

import typer

Endpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint", help="Base URL of the API. Default: $ANFL_ENDPOINT, then a local run (.anfl/local.json)."
    ),
]
Token = Annotated[
    str | None,
    typer.Option("--token", help="Bearer token. Default: $ANFL_TOKEN, then 'anfl login', then the local run's."),
]
Role = Annotated[
    str | None,
    typer.Option("--as", help="Role whose token of the local run is used. Default: 'anfl login', then admin."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
