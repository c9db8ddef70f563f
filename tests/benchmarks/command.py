"""The command line of the benchmarks: which to run, and how to print what they find."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from anfl.cli.output import console, errors, print_json
from bundling.errors import BundlingError
from tests.benchmarks import authorizer, imports, tables, vectors
from tests.benchmarks.embeddings import load
from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.http import measure as over_http
from tests.benchmarks.http.figures import HttpFigures
from tests.benchmarks.http.plot import draw
from tests.benchmarks.progress import Report
from tests.benchmarks.registry.measure import MODELS
from tests.benchmarks.registry.measure import measure as of_registries
from tests.benchmarks.sealing.measure import measure as of_sealing

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Benchmark(StrEnum):
    """What can be measured, in the order in which it is."""

    IMPORTS = "imports"
    AUTHORIZER = "authorizer"
    VECTORS = "vectors"
    HTTP = "http"
    REGISTRY = "registry"
    SEALING = "sealing"


@app.command()
def run(
    only: Annotated[
        list[Benchmark] | None,
        typer.Option(
            metavar="NAME", help="imports, authorizer, vectors, http, registry or sealing; repeatable. Default: all."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="BENCH_DATA", metavar="FOLDER", help="Folder with embeddings; default: the repository's sample."
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads that build graphs; default: one a processor.")
    ] = None,
    rows: Annotated[int | None, typer.Option(min=100, help="Only so many of the rows.")] = None,
    models: Annotated[int, typer.Option(min=100, help="Models that registry searches, with 3 versions each.")] = MODELS,
    plot: Annotated[Path | None, typer.Option(dir_okay=False, help="Draw what http found into this PNG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """The functions from their bundles, the vector store beside hnswlib, the registry beside MLflow."""
    document: dict[str, Any] = {"machine": _machine()}
    if not as_json:
        console.print("{system}, {processors} processors, Python {python}".format_map(document["machine"]))
    try:
        for name in Benchmark:
            if only and name not in only:
                continue
            with _progress() as report:
                found = _measure(name, data, rows, models, threads or os.cpu_count() or 1, report)
            document[name] = msgspec.to_builtins(found)
            if plot is not None and isinstance(found, HttpFigures):
                draw(found, plot)
            if not as_json:
                console.print()
                tables.show(found)
    except (BenchmarkError, BundlingError) as error:
        errors.print(f"bench: {error}", soft_wrap=True)
        raise typer.Exit(1) from error
    if as_json:
        print_json(document)


def _measure(
    name: Benchmark, data: Path | None, rows: int | None, models: int, threads: int, report: Report
) -> tables.Found:
    match name:
        case Benchmark.IMPORTS:
            return imports.measure(report)
        case Benchmark.AUTHORIZER:
            return authorizer.measure(report)
        case Benchmark.VECTORS:
            return vectors.measure(load(data).first(rows), threads=threads, report=report)
        case Benchmark.HTTP:
            return over_http.measure(load(data).first(rows), report=report)
        case Benchmark.REGISTRY:
            return of_registries(report=report, models=models)
        case Benchmark.SEALING:
            return of_sealing(load(data).first(rows), report=report)


def _machine() -> dict[str, object]:
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count() or 1,
        "python": platform.python_version(),
    }


@contextmanager
def _progress() -> Iterator[Report]:
    """A bar on standard error, one a step; standard output stays for results."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as progress:
        tasks = {}

        def report(step: str, share: float) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step, total=1.0)
            progress.update(tasks[step], completed=share)

        yield report
