"""The quotas of the documentation, counted in the templates."""

from deployment.preflight.needs import QUOTAS
from deployment.rollout import Rollout

BEGIN = "<!-- quotas: written by `make update-snapshots` -->"
END = "<!-- quotas: end -->"


def quota_table(rollout: Rollout) -> str:
    """Quotas of which a region needs more than a new account has, then how near the others come, as Markdown."""
    heads = list(rollout.regions)
    text = [f"| quota (service, code) | new account | {' | '.join(heads)} |", "|---|--:|" + "--:|" * len(heads)]
    small = 0
    for quota in QUOTAS:
        needs = [quota.need(rollout, region) for region in rollout.regions]
        if max(needs) <= quota.default / 5:
            small += 1
            continue
        raised = max(needs) > quota.default
        name = f"{quota.name} (`{quota.service}`, `{quota.code}`)"
        cells = " | ".join(f"{need:,g}" for need in needs)
        text.append(f"| {'**raise** ' if raised else ''}{name} | {quota.default:,g} | {cells} |")
    text += ["", f"Of {small} further ones, which preflight checks as well, less than a fifth is needed, or nothing."]
    return "\n".join(text)


def replaced(page: str, table: str) -> str:
    """``page`` with ``table`` between its marks.

    :raises ValueError: the marks are not there.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"
