"""A picture of a run: every figure as a multiple of its limit."""

from pathlib import Path

from tests.benchmarks.http.figures import HttpFigures, verdicts

_MET, _MISSED = "#2a7f62", "#c44536"


def draw(found: HttpFigures, path: Path) -> None:
    """Write a PNG: one bar a figure, as long as it is better than its limit; the line is the limit."""
    from matplotlib.figure import Figure  # a second of imports, for those who draw

    listed = verdicts(found)[::-1]
    margins = [each.limit / each.found if each.at_most else each.found / each.limit for each in listed]
    figure = Figure(figsize=(9, 0.32 * len(listed) + 1.2), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(
        [each.measure for each in listed], margins, color=[_MET if each.holds else _MISSED for each in listed]
    )
    axes.bar_label(bars, labels=[f" {each.found:.3g}" for each in listed])
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel("times better than its limit (labels: the figure itself)")
    axes.set_title(f"{found.rows:,} × {found.dimension}, {found.connections} connections, {found.workers} workers")
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)  # minutes of measuring are not lost for a folder
    figure.savefig(path, dpi=140)
