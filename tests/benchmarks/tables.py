"""What people see."""

import statistics

from rich.table import Table

from anfl.cli.output import console
from tests.benchmarks.authorizer import CALLS_LIMIT, WARM_LIMIT_MS, AuthorizerFigures
from tests.benchmarks.http.figures import HttpFigures, verdicts
from tests.benchmarks.imports import ImportTimes
from tests.benchmarks.registry import figures as registries
from tests.benchmarks.registry.figures import RegistryFigures
from tests.benchmarks.sealing.figures import COLD_LIMIT, LOAD_LIMIT, QUERY_LIMIT, Pair, SealingFigures, middle
from tests.benchmarks.vectors import Comparison

Found = ImportTimes | AuthorizerFigures | Comparison | HttpFigures | RegistryFigures | SealingFigures


def show(found: Found) -> None:
    """Print one benchmark's findings."""
    match found:
        case ImportTimes():
            _show_imports(found)
        case AuthorizerFigures():
            _show_authorizer(found)
        case Comparison():
            _show_comparison(found)
        case HttpFigures():
            _show_http(found)
        case RegistryFigures():
            _show_registry(found)
        case SealingFigures():
            _show_sealing(found)


def _show_imports(found: ImportTimes) -> None:
    table = _table("function", "import", "runs", "unzipped", title="Handlers, imported from their bundles")
    for function in found.functions:
        table.add_row(
            function.function,
            f"{function.milliseconds:.0f} ms",
            f"{min(function.runs):.0f} to {max(function.runs):.0f} ms",
            f"{function.unzipped_bytes / 2**20:.1f} MiB",
        )
    console.print(table)


def _show_authorizer(found: AuthorizerFigures) -> None:
    table = _table("", "", "limit", title="The authorizer, from its bundle")
    table.add_row("import", f"{found.imported:.0f} ms", "")
    table.add_row("first call", f"{found.first:.0f} ms", "")
    table.add_row("warm, decided, p50", f"{found.warm:.3f} ms", f"{WARM_LIMIT_MS:.0f} ms")
    table.add_row("warm, decided, p99", f"{found.warm_p99:.3f} ms", "")
    table.add_row("not decided yet, p50", f"{found.miss:.1f} ms", "")
    table.add_row("calls of Vault for it", str(found.vault_calls), str(CALLS_LIMIT))
    console.print(table)
    console.print("Within the limits." if found.passed else "[red]Over a limit.[/]")


def _show_comparison(found: Comparison) -> None:
    title = f"{found.rows:,} rows, {found.dimension} dimensions, cosine"
    table = _table("", f"recall@{found.k}", "queries/s", "in batches", "upserts/s", "indexed/s", title=title)
    for index in (found.store, found.raw):
        rates = (index.queries, index.batched, index.upserts, index.indexed)
        table.add_row(index.name, f"{index.recall:.4f}", *(f"{rate:,.0f}" for rate in rates))
    table.add_row("store / raw", "", f"{found.ratio:.2f}", f"{found.batch_ratio:.2f}", "", f"{found.load_ratio:.2f}")
    console.print(table)
    filters = _table("filter", "share", f"recall@{found.k}", "queries/s", "to unfiltered", title="With a filter")
    for each in found.filtered:
        filters.add_row(
            each.field, f"{each.share:.0%}", f"{each.recall:.4f}", f"{each.queries:,.0f}", f"{each.ratio:.2f}"
        )
    console.print(filters)
    console.print(f"Files: {found.bytes_per_row:,.0f} bytes a row, opened in {1000 * found.opening:.1f} ms.")
    settings = found.settings
    console.print(f"Embeddings: {found.source}; {found.queries:,} queries, one at a time.")
    console.print(
        f"Graphs: M {settings.m}, ef_construction {settings.ef_construction}, ef {settings.ef_search}, "
        f"built by {found.threads} threads. The store ended with {found.segments} segments, "
        f"{found.outside_graphs:,} rows outside graphs."
    )


def _show_http(found: HttpFigures) -> None:
    title = f"Over HTTP: {found.rows:,} rows, {found.dimension} dimensions, {found.connections} connections"
    table = _table("ratio or figure", "found", "limit", "", title=title)
    for verdict in verdicts(found):
        limit = f"{'≤' if verdict.at_most else '≥'} {verdict.limit:g}"
        table.add_row(verdict.measure, f"{verdict.found:.3f}", limit, "✓" if verdict.holds else "✗")
    console.print(table)
    rates = _table("queries/s", "service", "bare handler", "raw hnswlib", title="")
    for each in found.rounds:
        rates.add_row("one worker", f"{each.service:,.0f}", f"{each.bare:,.0f}", f"{each.raw:,.0f}")
    for rate in found.all_workers:
        rates.add_row(f"{found.workers} workers", f"{rate:,.0f}", "", "")
    console.print(rates)
    console.print(
        f"Embeddings: {found.source}. Load {found.load:,.0f} rows/s (raw {found.raw_load:,.0f}); "
        f"{found.memory.processes} processes, {found.memory.pss / 10**6:,.0f} MB."
    )


def _show_registry(found: RegistryFigures) -> None:
    title = f"The registry beside MLflow {found.mlflow_version} with SQLite; medians in ms, one request at a time"
    table = _table("", "service", "of it store", "own", "MLflow", "own / MLflow", title=title)
    for each in (*found.calls, *found.searches):
        times = (each.service, each.store, each.own, each.mlflow)
        table.add_row(each.name, *(f"{time:.2f}" for time in times), f"{each.own / each.mlflow:.2f}")
    console.print(table)
    missed = [verdict.measure for verdict in registries.verdicts(found) if not verdict.holds]
    memory, processor = found.memory, found.processor
    console.print(
        f"Memory, {memory.workers} workers: {memory.service / 10**6:,.0f} MB, MLflow {memory.mlflow / 10**6:,.0f} MB. "
        f"Processor time of a small request: {processor.service:.2f} ms (calls of AWS included), "
        f"MLflow {processor.mlflow:.2f} ms. Searches over {found.models:,} models with three versions each."
    )
    console.print("Every limit holds." if not missed else f"Limits that do not hold: {', '.join(missed)}.")


def _show_sealing(found: SealingFigures) -> None:
    title = f"Sealed beside not sealed: {found.rows:,} rows, {found.dimension} dimensions; medians"
    table = _table("", "plain", "sealed", "ratio", "limit", title=title)

    def row(name: str, pairs: list[Pair], digits: int, limit: str = "") -> None:
        plain, sealed = (statistics.median(getattr(pair, side) for pair in pairs) for side in ("plain", "sealed"))
        table.add_row(name, f"{plain:,.{digits}f}", f"{sealed:,.{digits}f}", f"{middle(pairs):.3f}", limit)

    row("load, rows/s", found.loads, 0, f"≥ {LOAD_LIMIT}")
    row("load, µs of the processor a row", found.load_processor, 0)
    row("queries/s", found.queries, 0, f"≥ {QUERY_LIMIT}")
    row("query, µs of the processor", found.query_processor, 0)
    row("cold load, s", found.colds, 2, f"≤ {COLD_LIMIT} s")
    console.print(table)
    console.print("Within the limits." if found.passed else "[red]Over a limit.[/]")


def _table(*columns: str, title: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table
