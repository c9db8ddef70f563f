"""Verdicts, approvals, policies, keys, signatures and webhooks beside a model of them, while processes die."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from anfl.registry.entities import Verdict, VerdictStatus
from anfl.registry.policies import Requirement
from anfl.registry.registry import Registry
from tests.unit.registry.mortality import DEATHS, PLACES, Death, Mortal
from tests.unit.registry.test_artifact_store import register
from tests.unit.registry.test_signing import Pair, signed

NUMBERS = st.integers(1, 2)
ALIASES = st.sampled_from(["a", "b"])
PEOPLE = st.sampled_from(["ana", "ben", "cy"])
ASKED_BY, NEEDED = "ana", 2


@dataclass
class Request:
    """What the registry should hold of a request for approval."""

    approved_by: set[str] = field(default_factory=set)
    status: str = "PENDING"


class Governed(Mortal):
    """One model with a version at each of two places, which hold the same bytes."""

    pair: Pair
    signature: str

    def __init__(self) -> None:
        super().__init__()
        self.verdicts: dict[int, str] = {}
        self.requests: dict[tuple[int, str], list[Request]] = {}
        self.policies: dict[str, tuple[Requirement, ...]] = {}
        self.believed = False
        self.signed: set[int] = set()
        self.aliases: dict[str, int] = {}
        self.hooks: Counter[str] = Counter({"hook": 1})

    @initialize()
    def begin(self) -> None:
        super().begin()
        registry = self.another()
        registry.models.create("acme", "bert", by="ana")
        for place in PLACES:
            register(registry, place)

    @rule(number=NUMBERS, status=st.sampled_from(["PENDING", "VALIDATED", "REJECTED"]), death=DEATHS)
    def validate(self, number: int, status: str, death: Death) -> None:
        def record(registry: Registry) -> None:
            found = registry.versions.get("acme", "bert", number)
            if status == "PENDING":
                registry.verdicts.request("acme", found, by="ana")
            else:
                verdict = Verdict(status=VerdictStatus(status), requested_at="r", inspected_at="i")
                registry.verdicts.put("acme", found, verdict, by="model-validation")

        assert self.run(death, record).times > 0
        self.verdicts[number] = status

    @rule(number=NUMBERS, alias=ALIASES, death=DEATHS)
    def ask(self, number: int, alias: str, death: Death) -> None:
        listed = self.requests.setdefault((number, alias), [])
        is_open = any(one.status in ("PENDING", "APPROVED") for one in listed)
        done = self.run(death, lambda r: r.approvals.request("acme", "bert", number, by=ASKED_BY, alias=alias))
        assert done.times == (not is_open)
        if not is_open:
            listed.append(Request())

    @rule(
        number=NUMBERS, alias=ALIASES, step=st.sampled_from(["approve", "reject", "withdraw"]), by=PEOPLE, death=DEATHS
    )
    def decide(self, number: int, alias: str, step: str, by: str, death: Death) -> None:
        """About the last request."""
        listed = self.requests.get((number, alias))
        if not listed:
            return
        last = listed[-1]
        there = [
            one
            for one in self.another().approvals.page("acme", "bert").approvals
            if (one.version, one.alias) == (number, alias)
        ]
        done = self.run(death, lambda r: getattr(r.approvals, step)("acme", "bert", there[-1].id, by=by))
        allowed = (
            last.status in ("PENDING", "APPROVED")
            and (by == ASKED_BY) == (step == "withdraw")
            and not (step == "approve" and by in last.approved_by)
        )
        assert done.times == allowed
        if allowed and step == "approve":
            last.approved_by.add(by)
            last.status = "APPROVED" if len(last.approved_by) >= NEEDED else last.status
        elif allowed:
            last.status = "REJECTED" if step == "reject" else "WITHDRAWN"

    @rule(alias=ALIASES, require=st.none() | st.sets(st.sampled_from(list(Requirement))), death=DEATHS)
    def govern(self, alias: str, require: set[Requirement] | None, death: Death) -> None:
        if require is None:
            assert self.run(death, lambda r: r.policies.delete("acme", alias, by="ana")).times == (
                alias in self.policies
            )
            self.policies.pop(alias, None)
            return
        assert self.run(death, lambda r: r.policies.put("acme", alias, by="ana", require=list(require))).times > 0
        self.policies[alias] = tuple(sorted(require))

    @rule(believe=st.booleans(), death=DEATHS)
    def believe(self, believe: bool, death: Death) -> None:
        def change(registry: Registry) -> None:
            if believe:
                registry.signing_keys.add("acme", by="ana", name="release", pem=self.pair.pem)
            else:
                registry.signing_keys.remove("acme", self._key(), by="ana")

        assert self.run(death, change).times == (believe != self.believed)
        self.believed = believe

    @rule(number=NUMBERS, death=DEATHS)
    def sign(self, number: int, death: Death) -> None:
        done = self.run(death, lambda r: r.signatures.add("acme", "bert", number, by="ana", bundle=self.signature))
        assert (done.times > 0) == self.believed
        if self.believed:
            self.signed.add(number)

    @rule(number=NUMBERS, alias=ALIASES, death=DEATHS)
    def name(self, number: int, alias: str, death: Death) -> None:
        """Exactly what the policy asks for opens the gate."""
        approved = {
            person
            for one in self.requests.get((number, alias), [])
            if one.status in ("PENDING", "APPROVED")
            for person in one.approved_by
        }
        has = {
            Requirement.VALIDATED: self.verdicts.get(number) == "VALIDATED",
            Requirement.APPROVED: len(approved) >= NEEDED,
            Requirement.SIGNED: self.believed and number in self.signed,
        }
        unchanged = self.aliases.get(alias) == number
        fits = unchanged or all(has[requirement] for requirement in self.policies.get(alias, ()))
        done = self.run(death, lambda r: r.aliases.set("acme", "bert", alias, number, by="ana"))
        assert (done.times, done.refused) == (fits and not unchanged, None if fits else "alias_policy_unmet")
        if fits:
            self.aliases[alias] = number

    @rule(name=st.sampled_from(["one", "two"]), step=st.sampled_from(["create", "rename", "delete"]), death=DEATHS)
    def hook(self, name: str, step: str, death: Death) -> None:
        """Creation is not idempotent: whose answer was lost and who asks again has two."""
        if step == "create":
            more: dict[str, Any] = {"url": "https://hooks.example.com/", "events": [("PROMPT", "CREATED")]}
            self.hooks[name] += self.run(death, lambda r: r.webhooks.create("acme", by="ana", name=name, **more)).times
            return
        found = next((hook for hook in self.another().webhooks.all("acme") if hook.name == name), None)
        if found is None:
            return
        if step == "rename":
            assert self.run(death, lambda r: r.webhooks.update("acme", found.id, by="ana", name="new")).times > 0
            self.hooks["new"] += 1
        else:
            assert self.run(death, lambda r: r.webhooks.delete("acme", found.id, by="ana")).times == 1
        self.hooks[name] -= 1

    def _key(self) -> str:
        keys = self.another().signing_keys.all("acme")
        return keys[0].id if keys else "0" * 64

    @invariant()
    def holds_what_is_expected(self) -> None:
        registry = self.another()
        if not registry.trails.chains("acme").models:
            return  # it has not begun
        verdicts = {number: registry.verdicts.get("acme", "bert", number) for number in (1, 2)}
        assert {number: str(one.status) for number, one in verdicts.items() if one is not None} == self.verdicts
        asked = registry.approvals.page("acme", "bert").approvals
        assert Counter(
            (one.version, one.alias, str(one.status), frozenset(given.by for given in one.approvals)) for one in asked
        ) == Counter(
            (number, alias, one.status, frozenset(one.approved_by))
            for (number, alias), listed in self.requests.items()
            for one in listed
        )
        assert {policy.alias: policy.require for policy in registry.policies.all("acme")} == self.policies
        assert len(registry.signing_keys.all("acme")) == self.believed
        for number in (1, 2):
            valid = [one.valid for one in registry.signatures.all("acme", "bert", number)]
            assert valid == ([self.believed] if number in self.signed else [])
        assert registry.models.get("acme", "bert")[0].aliases == self.aliases
        assert Counter(hook.name for hook in registry.webhooks.all("acme")) == +self.hooks


@pytest.fixture(name="governed")
def _governed(parts: dict[str, Any], tmp_path: Path) -> type[Governed]:
    pair = Pair(tmp_path / "pair")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"x")
    return type("Machine", (Governed,), parts | {"pair": pair, "signature": signed(tmp_path / "model", pair)})


def test_governance_is_whole_when_processes_die(governed: type[Governed]) -> None:
    run_state_machine_as_test(
        governed,
        settings=settings(
            max_examples=6,
            stateful_step_count=20,
            deadline=None,
            phases=[Phase.generate],  # as in `test_crashes`
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        ),
    )
