"""An estimate as a table for people, a document for scripts, and a page of the documentation."""

from collections.abc import Iterator
from typing import Any

from deployment.estimate.calculation import LAYERS, Estimate

_LARGEST = 12
"""Lines that the short table names."""


def label(found: Estimate) -> str:
    """What it is, and what it is not."""
    prices = found.table.prices.values()
    unchecked = sum(price.checked is None and price.assumed is None for price in prices)
    assumed = sum(price.assumed is not None for price in prices)
    return (
        f"An estimate from the templates, prices written down in {found.table.written}, and assumed usage. "
        f"{unchecked} of {len(prices)} prices are from AWS's public price list, to be checked: "
        f"nobody has held them against it. {assumed} are assumptions: nobody here has seen them there."
    )


def lines(found: Estimate) -> Iterator[str]:
    """Layers by region, sums, and what costs most."""
    yield f"Estimate for {found.environment}, {found.table.currency} a month"
    yield from _aligned(_matrix(found))
    yield f"With every group at its maximum all month: {found.at_most:,.0f}"
    yield ""
    yield "What costs most:"
    by_price: dict[str, float] = {}
    for line in found.lines:
        by_price[line.price] = by_price.get(line.price, 0) + line.monthly
    for price, monthly in sorted(by_price.items(), key=lambda item: -item[1])[:_LARGEST]:
        yield f"  {monthly:>8,.0f}  {price}"
    if found.classes:
        yield ""
        yield "Classes of the engine dynamodb, by what they hold and answer (index: assumed prices):"
        yield from _aligned(_classes(found))
    yield ""
    yield label(found)
    yield "Not included: " + " ".join(found.table.excluded)


def _matrix(found: Estimate) -> list[list[str]]:
    regions = list(dict.fromkeys(line.region for line in found.lines))
    layers = [layer for layer in LAYERS if found.of(layer=layer)]
    rows = [["layer", *regions, "sum"]]
    for layer in layers:
        cells = [f"{found.of(region=region, layer=layer):,.0f}" for region in regions]
        rows.append([layer, *cells, f"{found.of(layer=layer):,.0f}"])
    sums = [f"{found.of(region=region):,.0f}" for region in regions]
    rows.append(["sum", *sums, f"{found.monthly:,.0f}"])
    return rows


def _classes(found: Estimate) -> list[list[str]]:
    """A million vectors in all regions together; a thousand queries where they cost most."""
    head = ["table", "dimension", "a million written", "kept a month", "their backups a month", "a thousand queries"]
    rows = [
        [
            each.name,
            str(each.dimension),
            *(f"{dollars:,.2f}" for dollars in (each.written, each.kept, each.backed_up)),
            f"{max(each.queries.values()):.4f}",
        ]
        for each in found.classes
    ]
    return [head, *rows]


def _aligned(rows: list[list[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first = row[0].ljust(widths[0])
        yield "  ".join([first, *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))])


def document(found: Estimate) -> dict[str, Any]:
    """Everything, to two digits."""
    return {
        "estimate": True,
        "note": label(found),
        "environment": found.environment,
        "regions": list(found.regions),
        "currency": found.table.currency,
        "prices_written": found.table.written,
        "monthly": round(found.monthly, 2),
        "monthly_at_most": round(found.at_most, 2),
        "lines": [
            {
                "region": line.region,
                "layer": line.layer,
                "price": line.price,
                "unit": line.unit,
                "quantity": round(line.quantity, 2),
                "monthly": round(line.monthly, 2),
                "monthly_at_most": round(line.at_most, 2),
            }
            for line in found.lines
        ],
        "classes": [
            {
                "table": each.name,
                "dimension": each.dimension,
                "million_vectors_written": round(each.written, 2),
                "million_vectors_monthly": round(each.kept, 2),
                "million_vectors_backups_monthly": round(each.backed_up, 2),
                "thousand_queries": {region: round(dollars, 5) for region, dollars in each.queries.items()},
            }
            for each in found.classes
        ],
        "assumed_prices": {name: price.assumed for name, price in found.table.prices.items() if price.assumed},
        "assumptions": {
            name: {"about": usage["about"], "amount": usage[found.environment]}
            for name, usage in found.table.usage.items()
        },
        "excluded": list(found.table.excluded),
    }


def page(estimates: list[Estimate]) -> str:
    """``docs/cost.md``."""
    table = estimates[0].table
    text = [
        "# What it costs: an estimate",
        "",
        f"US dollars a month, generated from the templates by `make update-snapshots`; `anfl estimate` prints it with "
        f"every line (`--json`). **{label(estimates[0])}** The table is `deployment/estimate/prices.yaml`: each price "
        "names the page on which it stands, and takes a month in `checked` when somebody has looked.",
    ]
    for found in estimates:
        text += ["", f"## {found.environment}", "", *_markdown(_matrix(found))]
        text += ["", f"With every group at its maximum all month: {found.at_most:,.0f}."]
        text += ["", "| region | layer | what | units a month | unit | a month |", "|---|---|---|--:|---|--:|"]
        text += [
            f"| {line.region} | {line.layer} | {line.price} | {line.quantity:,.1f} | {line.unit} "
            f"| {line.monthly:,.2f} |"
            for line in found.lines
            if line.monthly >= 1
        ]
        text += ["", "Lines below one dollar are in the sums and left out here."]
        if found.classes:
            text += ["", "Classes of the engine `dynamodb`, by what they hold in all regions together and answer:", ""]
            text += _markdown(_classes(found))
    names = [found.environment for found in estimates]
    text += ["", "## Assumed usage", "", "A month, in each region, unless it says otherwise.", ""]
    text += ["| what | " + " | ".join(names) + " |", "|---|" + "--:|" * len(names)]
    for usage in table.usage.values():
        text += [f"| {usage['about']} | " + " | ".join(f"{usage[name]:g}" for name in names) + " |"]
    text += [
        "",
        "## Assumed prices",
        "",
        "AWS bills vector indexes by the byte; nobody here has seen what it asks.",
        "",
    ]
    text += [f"- `{name}`: {price.assumed}" for name, price in table.prices.items() if price.assumed]
    text += ["", "## Not included", "", *(f"- {item}" for item in table.excluded), ""]
    return "\n".join(text)


def _markdown(rows: list[list[str]]) -> Iterator[str]:
    head, *body = rows
    yield "| " + " | ".join(head) + " |"
    yield "|---|" + "--:|" * (len(head) - 1)
    for row in body:
        yield "| " + " | ".join(row) + " |"
