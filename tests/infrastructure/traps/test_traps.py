"""Each deploy-time trap is guarded: by a tool that reports it, by a rule of our own, or where no template shows it."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

from stacks.settings import ROOT
from tests.infrastructure.conftest import Assembly
from tests.infrastructure.estate import Estate, Place, estate_of
from tests.infrastructure.test_cfn_lint import STAND
from tests.infrastructure.traps.samples import Sample, samples
from tests.infrastructure.traps.table import TRAPS, Rule, Trap, name_of, rows
from tests.infrastructure.traps.tools import CDK_NAG, CFN_LINT, VALIDATION, Report, reports

SAMPLES = samples()
RULED = [pytest.param(trap, rule, id=f"{trap.number}: {name_of(rule)}") for trap in TRAPS for rule in trap.rules]


def named(trap: Trap) -> str:
    return f"{trap.number}: {trap.what}"


def wrong(rule: Rule, estate: Estate) -> list[str]:
    return [f"{verdict.subject} {verdict.wrong}" for verdict in rule(estate) if verdict.wrong]


@pytest.fixture(scope="module")
def estates(prod: Assembly, dev: Assembly) -> Mapping[str, Estate]:
    return {"prod": estate_of("prod", prod), "dev": estate_of("dev", dev)}


def test_every_trap_stands_in_the_table_once_and_is_guarded() -> None:
    assert [trap.number for trap in TRAPS] == list(range(1, 37))
    for trap in TRAPS:
        assert trap.tool or trap.rules or trap.elsewhere, named(trap)
        assert not (trap.tool and trap.rules), f"{named(trap)}: a rule of our own is for what no tool reports"
        assert trap.elsewhere is None or len(trap.elsewhere.reason) >= 30, named(trap)


def test_what_a_template_shows_has_a_sample_and_nothing_else_has() -> None:
    assert set(SAMPLES) == {trap.number for trap in TRAPS if trap.tool or trap.rules}


@pytest.mark.parametrize("environment", ["prod", "dev"])
@pytest.mark.parametrize(("trap", "rule"), RULED)
def test_no_environment_falls_into_it(estates: Mapping[str, Estate], trap: Trap, rule: Rule, environment: str) -> None:
    found = wrong(rule, estates[environment])
    assert not found, "\n".join([named(trap), *found])


@pytest.mark.parametrize(("trap", "rule"), RULED)
def test_the_rule_looks_at_something_that_is_deployed(estates: Mapping[str, Estate], trap: Trap, rule: Rule) -> None:
    assert bool(list(rule(estates["prod"]))) is not bool(trap.idle)


@pytest.mark.parametrize(("trap", "rule"), RULED)
def test_the_rule_finds_the_trap_and_nothing_where_there_is_none(trap: Trap, rule: Rule) -> None:
    sample = SAMPLES[trap.number]
    assert list(rule(sample.good)), "the good side must be subject to the rule"
    assert wrong(rule, sample.good) == []
    assert wrong(rule, sample.bad)


def _places(sample: Sample) -> list[Place]:
    return [*sample.good.places.values(), *sample.bad.places.values()]


def _key(place: Place) -> str:
    """Names a template by its text and region, so that each is looked at once."""
    text = json.dumps([place.region, place.document], sort_keys=True)
    return f"T{hashlib.sha256(text.encode()).hexdigest()[:16]}"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Mapping[str, Report]:
    """What the tools say of each template of the samples; remembered until one of either changes."""
    places = {_key(place): place for sample in SAMPLES.values() for place in _places(sample)}
    versions = [version(tool) for tool in ("cfn-lint", "cdk-nag", "aws-cdk-lib")]
    name = f"traps/{hashlib.sha256(' '.join([*versions, *sorted(places)]).encode()).hexdigest()}"
    remembered = request.config.cache.get(name, None)
    if remembered is None:
        found = reports(places, tmp_path_factory.mktemp("samples"))
        remembered = {key: [[*rule, count] for rule, count in report.items()] for key, report in found.items()}
        request.config.cache.set(name, remembered)
    return {key: Counter({(tool, rule): n for tool, rule, n in found}) for key, found in remembered.items()}


def reported(said: Mapping[str, Report], estate: Estate) -> Report:
    """Of all templates of an estate."""
    return sum((said.get(_key(place), Counter()) for place in estate.places.values()), start=Counter())


@pytest.mark.parametrize("number", SAMPLES, ids=str)
def test_the_tool_that_is_named_reports_the_trap_and_otherwise_none_does(
    said: Mapping[str, Report], number: int
) -> None:
    (trap,) = (trap for trap in TRAPS if trap.number == number)
    sample = SAMPLES[number]
    new = reported(said, sample.bad) - reported(said, sample.good)
    assert set(new) == ({trap.tool} if trap.tool else set())


def test_every_tool_was_asked(said: Mapping[str, Report]) -> None:
    """Silence about a trap means something only from one who speaks of other things."""
    assert {tool for report in said.values() for tool, _ in report} == {CFN_LINT, CDK_NAG, VALIDATION}


def test_nothing_that_guards_a_trap_is_excused_elsewhere() -> None:
    guards = {trap.tool[1] for trap in TRAPS if trap.tool}
    assert guards
    assert not guards & STAND.keys()


def test_runbooks_exist() -> None:
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / "development.md").read_text(), re.MULTILINE)
    for trap in TRAPS:
        if trap.elsewhere and trap.elsewhere.name.startswith("`docs/"):
            assert trap.elsewhere.name.partition(": ")[2] in headings, named(trap)


def test_the_table_can_be_read() -> None:
    for number, what, guards, _ in rows():
        assert guards, f"{number}: {what}"
        assert "|" not in what + guards


def test_rules_are_all_in_use() -> None:
    folder = Path(__file__).parent / "rules"
    defined = {
        f"{file.stem}.{name}"
        for file in folder.glob("*.py")
        for name in re.findall(r"^def ([a-z]\w*)\(", file.read_text(), re.MULTILINE)
    }
    assert defined == {name_of(rule) for trap in TRAPS for rule in trap.rules}
