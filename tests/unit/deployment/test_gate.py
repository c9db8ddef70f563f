"""When ``make deploy`` deploys, how much, and when it refuses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from deployment.gate import Gate, Wishes
from deployment.preflight.plan import Scope
from deployment.preflight.results import Outcome, Result
from deployment.rollout import Rollout
from tests.unit.deployment.conftest import Assemble, resource

DNS = "anfl-prod-global-dns"
REGION = "anfl-prod-us-west-1-service"
SERVERS = {"example.test": ["ns-1", "ns-2"]}


def result(outcome: Outcome = Outcome.OK, name: str = "toolkit.us-east-1") -> Result:
    """A result."""
    return Result(id=name, region=None, outcome=outcome, found="found", remedy="do this")


@dataclass
class World:
    """What surrounds the gate, and what it did there."""

    answer: str = "prod"
    results: Mapping[Scope, list[Result]] = field(default_factory=dict)
    servers: list[Mapping[str, Sequence[str]] | None] = field(default_factory=lambda: [SERVERS])
    status: int = 0
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    examined: list[tuple[Scope, tuple[str, ...]]] = field(default_factory=list)
    deployed: list[list[str]] = field(default_factory=list)

    def examine(self, scope: Scope, rollout: Rollout) -> list[Result]:
        self.examined.append((scope, rollout.stacks))
        return self.results.get(scope, [result()])

    def deploy(self, what: Sequence[str]) -> int:
        self.deployed.append(list(what))
        return self.status

    def ask(self, question: str) -> str:
        self.asked.append(question)
        return self.answer

    def name_servers(self, _rollout: Rollout) -> Mapping[str, Sequence[str]] | None:
        return self.servers.pop(0) if len(self.servers) > 1 else self.servers[0]

    def run(self, rollout: Rollout, **wishes: object) -> int:
        gate = Gate(
            wishes=Wishes(**({"interactive": True} | wishes)),  # type: ignore[arg-type]
            say=self.said.append,
            ask=self.ask,
            examine=self.examine,
            deploy=self.deploy,
            name_servers=self.name_servers,
        )
        return gate.run(rollout)

    @property
    def text(self) -> str:
        return "\n".join(self.said)


@pytest.fixture
def prod(assemble: Assemble) -> Rollout:
    """The zones, and one region that needs them."""
    zone = resource("AWS::Route53::HostedZone", Name="example.test")
    return assemble(
        {
            DNS: {"region": "us-east-1", "resources": {"Zone": zone}},
            REGION: {"region": "us-west-1", "resources": {}, "needs": [DNS]},
        }
    )


@pytest.fixture
def dev(prod: Rollout) -> Rollout:
    """An environment without zones, whose data goes with it."""
    deployment = prod.settings.deployment.model_copy(update={"retain_data": False})
    settings = prod.settings.model_copy(update={"environment": "dev", "deployment": deployment})
    return Rollout(settings=settings, templates=prod.templates, stacks=(REGION,), bootstrap_version=6)


def test_all_is_well_and_meant(prod: Rollout) -> None:
    world = World()
    assert world.run(prod) == 0
    assert world.deployed == [["**"]]
    assert world.examined == [(Scope.DEPLOYMENT, (DNS, REGION))]


def test_one_region_is_deployed_with_what_it_needs(prod: Rollout) -> None:
    world = World()
    assert world.run(prod, region="us-west-1") == 0
    assert world.deployed == [["anfl-prod-us-west-1-*"]]


def test_the_status_of_the_deployment_is_that_of_the_command(prod: Rollout) -> None:
    assert World(status=7).run(prod) == 7


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.NOT_CHECKED])
@pytest.mark.parametrize("confirm", [None, "prod"])
def test_nothing_is_deployed_past_a_check_that_did_not_pass(
    prod: Rollout, outcome: Outcome, confirm: str | None
) -> None:
    world = World(results={Scope.DEPLOYMENT: [result(), result(outcome)]})
    assert world.run(prod, confirm=confirm) == 1
    assert (world.deployed, world.asked) == ([], [])
    assert "do this" in world.text


def test_a_warning_is_shown_and_passes(prod: Rollout) -> None:
    world = World(results={Scope.DEPLOYMENT: [result(Outcome.WARNING)]})
    assert world.run(prod) == 0
    assert "do this" in world.text


def test_zones_that_are_not_delegated_stop_the_rest(prod: Rollout) -> None:
    world = World(results={Scope.DEPLOYMENT: [result(Outcome.FAILED, "dns.example.test")]})
    assert world.run(prod) == 1
    assert world.deployed == []
    assert "Certificates wait" in world.text


@pytest.mark.parametrize("answer", ["", "dev", "PROD", "yes"])
def test_another_answer_than_the_name_deploys_nothing(prod: Rollout, answer: str) -> None:
    world = World(answer=answer)
    assert world.run(prod) == 1
    assert world.deployed == []


def test_where_nobody_can_be_asked_the_name_must_have_been_given(prod: Rollout) -> None:
    assert World().run(prod, interactive=False) == 1
    assert World().run(prod, interactive=False, confirm="dev") == 1
    confirmed = World()
    assert confirmed.run(prod, interactive=False, confirm="prod") == 0
    assert (len(confirmed.deployed), confirmed.asked) == (1, [])


def test_an_environment_that_keeps_nothing_is_deployed_unasked(dev: Rollout) -> None:
    world = World()
    assert world.run(dev, interactive=False) == 0
    assert (world.deployed, world.asked) == ([["**"]], [])


def test_a_first_deployment_deploys_the_zones_alone_and_stops(prod: Rollout) -> None:
    world = World(servers=[None, SERVERS])
    assert world.run(prod) == 1
    assert world.deployed == [["--exclusively", DNS]]
    assert world.examined == [(Scope.ACCOUNT, (DNS,)), (Scope.ACCOUNT, (DNS, REGION))]
    assert "example.test: ns-1 ns-2" in world.text
    assert "anfl preflight --env prod --dns" in world.text


def test_a_first_deployment_wants_what_the_zones_need(prod: Rollout) -> None:
    world = World(servers=[None], results={Scope.ACCOUNT: [result(Outcome.FAILED)]})
    assert world.run(prod) == 1
    assert world.deployed == []


def test_a_first_deployment_asks_as_any_other(prod: Rollout) -> None:
    world = World(servers=[None], answer="no")
    assert world.run(prod) == 1
    assert world.deployed == []
    assert DNS in world.asked[0]


def test_zones_that_could_not_be_deployed_are_not_printed(prod: Rollout) -> None:
    world = World(servers=[None], status=5)
    assert world.run(prod) == 5
    assert "ns-1" not in world.text


def test_skipping_is_loud_and_needs_the_typed_name(prod: Rollout) -> None:
    world = World()
    assert world.run(prod, skip_preflight=True) == 0
    assert (world.examined, world.deployed) == ([], [["**"]])
    assert "UNCHECKED" in world.text
    assert world.asked


@pytest.mark.parametrize("wishes", [{"interactive": False}, {"interactive": False, "confirm": "prod"}])
def test_skipping_for_prod_is_refused_where_nobody_types(prod: Rollout, wishes: dict[str, object]) -> None:
    world = World()
    assert world.run(prod, skip_preflight=True, **wishes) == 1
    assert world.deployed == []


def test_skipping_for_prod_with_a_wrong_answer(prod: Rollout) -> None:
    world = World(answer="y")
    assert world.run(prod, skip_preflight=True) == 1
    assert world.deployed == []


def test_skipping_elsewhere_is_loud_too(dev: Rollout) -> None:
    world = World()
    assert world.run(dev, skip_preflight=True, interactive=False) == 0
    assert "UNCHECKED" in world.text
