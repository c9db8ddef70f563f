"""``anfl models``: register, list, show, alias, download, inspect; governance stands in modules beside this one."""

import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from anfl.cli import approvals, audit, policies, signing, signing_files
from anfl.cli.artefacts import artefacts_at
from anfl.cli.downloads import fetch, files_at, place_of, source
from anfl.cli.errors import CliError, ExitCode
from anfl.cli.options import Endpoint, Json, Role, Token
from anfl.cli.output import console, errors, print_json, print_table
from anfl.cli.paging import pages
from anfl.cli.registering import API, checked, create_if_absent, removed_unless_registered
from anfl.cli.target import resolve
from anfl.cli.uploads import upload
from anfl.client import Client
from anfl.registry.folders import folder_of
from anfl.wording import counted

app = typer.Typer(no_args_is_help=True, help="The model registry.")
app.add_typer(audit.app, name="audit")
app.add_typer(approvals.app, name="approvals")
app.add_typer(policies.app, name="policies")
app.add_typer(signing.keys, name="keys")
app.add_typer(signing.signatures, name="signatures")
app.command()(signing_files.sign)
app.command()(signing_files.verify)

Name = Annotated[str, typer.Argument(help="Name of the model.")]
Version = Annotated[str, typer.Argument(help="Version number.")]


class _Speed(ProgressColumn):
    """Bytes a second since it began. rich's own column counts from the first step on, which may be nearly all."""

    def render(self, task: Task) -> Text:
        """See rich."""
        seconds = task.finished_time or task.elapsed
        return Text(f"{decimal(int(task.completed / seconds))}/s" if seconds else "", style="progress.data.speed")


_COLUMNS = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), _Speed())
_FINAL = {"VALIDATED", "REJECTED", "QUARANTINED"}


@app.command()
def register(
    name: Name,
    path: Annotated[Path, typer.Argument(exists=True, help="File or folder with the model's artefacts.")],
    description: Annotated[str | None, typer.Option(help="What this version is.")] = None,
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait for the verdict; 0: do not wait.")] = 60,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Upload artefacts, register them as the next version, and wait for the verdict."""
    files = artefacts_at(path)
    if not files:
        raise CliError(f"{path} holds no files.", exit_code=ExitCode.USAGE)
    folder = f"{folder_of(name)}/{time.time_ns():x}"  # a new folder each time: artefacts of a version never change
    target = resolve(endpoint, token, role=role)
    total = checked(name, description, files, folder, by_link=target.ingest is None)
    body = {"name": name, "source": f"mlflow-artifacts:/{folder}"} | (
        {"description": description} if description else {}
    )
    with target.connect() as client:
        with removed_unless_registered(client, folder):
            with Progress(*_COLUMNS, console=errors, disable=as_json) as progress:
                task = progress.add_task("upload", total=total)
                placed = {f"{folder}/{relative}": file for relative, file in files.items()}
                upload(client, target, name, placed, sent=partial(progress.advance, task))
            create_if_absent(client, name)
            version = client.json("POST", f"{API}/model-versions/create", body=body)["model_version"]
        if not as_json:
            console.print(f"Registered {name} version {version['version']} ({counted(len(files), 'file')}).")
        verdict = _await_verdict(client, name, version["version"], wait) if wait else None
    if as_json:
        print_json({"model_version": version, "validation": verdict})
    elif verdict is not None:
        _print_verdict(verdict)
    if verdict is not None and verdict["status"] != "VALIDATED":
        raise typer.Exit(ExitCode.FAILED)


@app.command("list")
def list_models(
    where: Annotated[str, typer.Option(help="MLflow filter, for example \"name LIKE 'bert%'\".")] = "",
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """List registered models."""
    with resolve(endpoint, token, role=role).connect() as client:
        models = _found(client, "registered-models/search", "registered_models", where)
    if as_json:
        print_json({"registered_models": models})
        return
    rows = [
        {
            "name": model["name"],
            "latest": max((int(version["version"]) for version in model.get("latest_versions", [])), default=None),
            "aliases": ", ".join(f"{alias['alias']}→{alias['version']}" for alias in model.get("aliases", [])),
            "description": model.get("description"),
        }
        for model in models
    ]
    print_table(rows, ["name", "latest", "aliases", "description"], empty="No models yet.")


@app.command()
def show(name: Name, endpoint: Endpoint = None, token: Token = None, role: Role = None, as_json: Json = False) -> None:
    """A model's versions with their aliases and verdicts."""
    with resolve(endpoint, token, role=role).connect() as client:
        quoted = name.replace("'", "''")
        model = client.json("GET", f"{API}/registered-models/get", params={"name": name})["registered_model"]
        versions = _found(client, "model-versions/search", "model_versions", f"name='{quoted}'")
        for version in versions:
            version["validation"] = _verdict(client, name, version["version"])["status"]
    if as_json:
        print_json({"registered_model": model, "model_versions": versions})
        return
    aliases: dict[str, list[str]] = {}
    for alias in model.get("aliases", []):
        aliases.setdefault(str(alias["version"]), []).append(alias["alias"])
    rows = [{**version, "aliases": ", ".join(aliases.get(version["version"], []))} for version in versions]
    print_table(rows, ["version", "validation", "aliases", "description", "source"], empty="No versions yet.")


@app.command()
def validation(
    name: Name,
    version: Version,
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait for it.")] = 0,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """The verdict on a version; exit code 1 unless it is VALIDATED."""
    with resolve(endpoint, token, role=role).connect() as client:
        verdict = _await_verdict(client, name, version, wait)
    if as_json:
        print_json(verdict)
    else:
        _print_verdict(verdict)
    if verdict["status"] != "VALIDATED":
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def alias(
    name: Name,
    alias: Annotated[str, typer.Argument(help="The alias, for example champion.")],
    version: Version,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Point an alias at a version (it moves if it exists)."""
    body = {"name": name, "alias": alias, "version": version}
    with resolve(endpoint, token, role=role).connect() as client:
        client.json("POST", f"{API}/registered-models/alias", body=body, repeatable=True)
    if as_json:
        print_json(body)
    else:
        console.print(f"{name}@{alias} is version {version}.")


@app.command()
def download(
    name: Name,
    version: Version,
    folder: Annotated[Path, typer.Argument(file_okay=False, help="Where to; made if it is not there.")],
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Fetch a version's artefacts and check their checksums."""
    target = resolve(endpoint, token, role=role)
    with target.connect() as client:
        parameters = {"name": name, "version": version}
        uri = client.json("GET", f"{API}/model-versions/get-download-uri", params=parameters)["artifact_uri"]
        files = files_at(client, place_of(uri))
        with Progress(*_COLUMNS, console=errors, disable=as_json) as progress:
            task = progress.add_task("download", total=sum(file.size or 0 for file in files) or None)
            advance = partial(progress.advance, task)
            written = [fetch(file, folder, source=source(file, target, client), received=advance) for file in files]
    if as_json:
        print_json({"files": [str(file) for file in written]})
    else:
        console.print(f"{counted(len(written), 'file')} of {name} version {version} written to {folder}.")


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(exists=True, help="File or folder of artefacts.")],
    package_host: Annotated[
        list[str] | None,
        typer.Option(help="Host whose package index and files requirements may name, as in the registry's settings."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Inspect artefacts on this machine as the registry would, without loading them."""
    from anfl.cli.inspection import inspect_path

    verdict = inspect_path(path, package_hosts=tuple(package_host or ()))
    if as_json:
        print_json(verdict)
    else:
        _print_verdict(verdict)
    if verdict["status"] != "VALIDATED":
        raise typer.Exit(ExitCode.FAILED)


def _found(client: Client, path: str, member: str, where: str) -> list[dict[str, Any]]:
    """All that a search finds, page by page."""
    answers = pages(client, f"{API}/{path}", {"filter": where} if where else {})
    return [one for answer in answers for one in answer.get(member, [])]


def _verdict(client: Client, name: str, version: str) -> dict[str, Any]:
    answer = client.json("GET", f"/v1/models/{quote(name, safe='')}/versions/{quote(version, safe='')}/validation")
    return dict(answer)


def _await_verdict(client: Client, name: str, version: str, seconds: int) -> dict[str, Any]:
    """Poll until the verdict is final or ``seconds`` have passed; returns the last state."""
    deadline = time.monotonic() + seconds
    pause = 0.2
    while True:
        verdict = _verdict(client, name, version)
        if verdict["status"] in _FINAL or time.monotonic() >= deadline:
            return verdict
        time.sleep(pause)
        pause = min(2.0, pause * 1.5)


def _print_verdict(verdict: dict[str, Any]) -> None:
    console.print(f"Verdict: {verdict['status']}")
    for reason in verdict.get("reasons", []):
        console.print(f"  {reason['code']}: {reason.get('file') or ''} {reason.get('detail') or ''}".rstrip())
