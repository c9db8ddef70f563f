"""The gate of ``make deploy``: nothing is deployed before the account was looked at, and ``prod`` not unasked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from anfl.wording import counted
from deployment.preflight import report
from deployment.preflight.plan import Scope
from deployment.preflight.results import Outcome, Result, passes
from deployment.rollout import Rollout

Say = Callable[[str], None]
Ask = Callable[[str], str]
Examine = Callable[[Scope, Rollout], list[Result]]
Deploy = Callable[[Sequence[str]], int]
"""What ``cdk deploy`` is to be called with → its exit status."""
NameServers = Callable[[Rollout], Mapping[str, Sequence[str]] | None]
"""Name servers of each public zone; None where one does not stand yet."""

_REFUSED = 1


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What whoever deploys said beforehand."""

    region: str | None = None
    skip_preflight: bool = False
    confirm: str | None = None
    """Environment that is meant, where nobody is there to be asked."""
    interactive: bool = False


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Decides whether, and how much, is deployed."""

    wishes: Wishes
    say: Say
    ask: Ask
    examine: Examine
    deploy: Deploy
    name_servers: NameServers

    def run(self, rollout: Rollout) -> int:
        """Deploy, or say why not; the exit status."""
        if self.wishes.skip_preflight:
            return self._unchecked(rollout)
        if rollout.dns_stack and self.name_servers(rollout) is None:
            return self._zones_first(rollout, rollout.dns_stack)
        results = self._examined(Scope.DEPLOYMENT, rollout)
        if not passes(results):
            self.say("")
            if any(result.id.startswith("dns.") and result.outcome is not Outcome.OK for result in results):
                self.say("Certificates wait for the zones to be delegated, and a deployment would hang on them.")
            self.say("Nothing was deployed. Do what stands behind the arrows, then deploy again.")
            return _REFUSED
        if not self._meant(rollout, counted(len(rollout.stacks), "stack")):
            return _REFUSED
        return self.deploy(self._everything(rollout))

    def _zones_first(self, rollout: Rollout, stack: str) -> int:
        """A first deployment: the zones alone, because somebody else has to delegate them."""
        self.say(f"This is a first deployment: {stack} goes alone, so that its zones can be delegated.")
        if not passes(self._examined(Scope.ACCOUNT, rollout.only(stack))):
            self.say("Nothing was deployed. Do what stands behind the arrows, then deploy again.")
            return _REFUSED
        if not self._meant(rollout, stack):
            return _REFUSED
        status = self.deploy(["--exclusively", stack])
        if status:
            return status
        servers = self.name_servers(rollout)
        if servers is None:
            self.say(f"{stack} was deployed, but AWS does not name its zones. Deploy again.")
            return _REFUSED
        self.say("\nMeanwhile, what the rest of the deployment needs:")
        self._examined(Scope.ACCOUNT, rollout)
        self.say("\nThe zones stand. Delegate them where the domain above them is kept, to exactly these servers:")
        for zone, names in servers.items():
            self.say(f"  {zone}: {' '.join(names)}")
        self.say("(A zone below another one of these is delegated by it already.)")
        self.say(
            f"\nStopped on purpose: certificates wait for the delegation. 'anfl preflight --env "
            f"{rollout.settings.environment} --dns' says when everybody sees it; then deploy again."
        )
        return _REFUSED

    def _unchecked(self, rollout: Rollout) -> int:
        environment = rollout.settings.environment
        self.say("!" * 80)
        self.say(f"!! PREFLIGHT=skip: {environment} is deployed UNCHECKED. Quotas, delegation, images, toolkit:")
        self.say("!! nobody looked. Certificates of zones that are not delegated keep the deployment waiting.")
        self.say("!" * 80)
        if _guarded(rollout):
            if not self.wishes.interactive:
                self.say(f"{environment} keeps data: without a preflight, its name must be typed on a terminal.")
                return _REFUSED
            if not self._typed(environment, "unchecked"):
                return _REFUSED
        return self.deploy(self._everything(rollout))

    def _examined(self, scope: Scope, rollout: Rollout) -> list[Result]:
        results = self.examine(scope, rollout)
        for line in report.lines(results):
            self.say(line)
        return results

    def _meant(self, rollout: Rollout, what: str) -> bool:
        """Whether an environment that keeps data is meant; others are deployed unasked."""
        environment = rollout.settings.environment
        if not _guarded(rollout):
            return True
        if self.wishes.confirm is not None:
            if self.wishes.confirm == environment:
                return True
            self.say(f"CONFIRM={self.wishes.confirm} does not name {environment}. Nothing was deployed.")
            return False
        if not self.wishes.interactive:
            self.say(f"Nobody is there to be asked; CONFIRM={environment} says that it is meant. Nothing was deployed.")
            return False
        return self._typed(environment, what)

    def _typed(self, environment: str, what: str) -> bool:
        if self.ask(f"Type the environment's name to deploy it ({what}): ").strip() == environment:
            return True
        self.say("That is not its name. Nothing was deployed.")
        return False

    def _everything(self, rollout: Rollout) -> list[str]:
        return [rollout.settings.name(self.wishes.region, "*") if self.wishes.region else "**"]


def _guarded(rollout: Rollout) -> bool:
    return rollout.settings.deployment.retain_data
