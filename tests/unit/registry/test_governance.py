"""Policies of aliases and approvals: who may let a version through, and that no race opens the gate."""

import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anfl.auth.principal import Principal
from anfl.problems import Problem
from anfl.registry.approvals import MAX_APPROVERS, MAX_COMMENT_BYTES, OPEN, Approval, ApprovalStatus
from anfl.registry.entities import Verdict, VerdictStatus
from anfl.registry.policies import Policy, Requirement
from anfl.registry.registry import Registry, build_registry
from services.model_registry.app import assemble
from tests.unit.registry.conftest import BUCKET, TABLE, past_the_registry
from tests.unit.registry.test_artifact_store import register, upload
from tests.unit.registry.test_models import refused, version
from tests.unit.registry.test_protocol import Caller, TenantInToken

PROD = {"prod": Policy(require=(Requirement.VALIDATED, Requirement.APPROVED), approvals=2)}
ALIAS = "/api/2.0/mlflow/registered-models/alias"
APPROVED = (Requirement.APPROVED,)
NO_NUMBERS: tuple[object, ...] = (0, 6, 1.5, "x", True, [])
"""Of people who must approve."""


@pytest.fixture(name="process")
def _process(dynamodb: Any, s3: Any) -> Callable[[], Registry]:
    return lambda: build_registry(table=TABLE, dynamodb=dynamodb, bucket=BUCKET, s3=s3, policies=PROD)


@pytest.fixture(name="bert")
def _bert(registry: Registry) -> Registry:
    """A registry with two versions of one model, the first of which is validated."""
    registry.models.create("acme", "bert", by="ana")
    version(registry, "acme", "bert")
    version(registry, "acme", "bert")
    validate(registry, VerdictStatus.VALIDATED)
    return registry


def validate(registry: Registry, status: VerdictStatus) -> None:
    verdict = Verdict(status=status, requested_at="2026-01-01", inspected_at="2026-01-01")
    registry.verdicts.put("acme", registry.versions.get("acme", "bert", 1), verdict, by="model-validation")


def ask(registry: Registry, number: int = 1, *, by: str = "ana", alias: str = "prod") -> Approval:
    return registry.approvals.request("acme", "bert", number, by=by, alias=alias)


def approve(registry: Registry, approval: Approval, *people: str) -> None:
    for person in people:
        registry.approvals.approve("acme", "bert", approval.id, by=person)


def set_alias(registry: Registry, alias: str = "prod", number: int = 1) -> None:
    registry.aliases.set("acme", "bert", alias, number, by="ana")


def missing(registry: Registry, alias: str = "prod", number: int = 1) -> set[str]:
    """What the gate says is missing; nothing where it opens."""
    try:
        set_alias(registry, alias, number)
    except Problem as problem:
        refusal = problem
    else:
        return set()
    assert (refusal.status, refusal.code) == (409, "alias_policy_unmet")
    lacking = refusal.extensions["missing"]
    assert isinstance(lacking, dict)
    assert all(f"{name} ({reason})" in refusal.detail for name, reason in lacking.items())
    return set(lacking)


def test_prod_takes_a_verdict_and_two_people_who_did_not_ask(bert: Registry) -> None:
    assert missing(bert) == {"approved"}
    approval = ask(bert, by="ana")
    assert refused("own_request", bert.approvals.approve, "acme", "bert", approval.id, by="ana")
    approve(bert, approval, "ben")
    assert missing(bert) == {"approved"}
    assert "another person" in refused(
        "already_approved", bert.approvals.approve, "acme", "bert", approval.id, by="ben"
    )
    approve(bert, approval, "cid")
    assert bert.approvals.get("acme", "bert", approval.id).status is ApprovalStatus.APPROVED
    assert missing(bert) == set()
    assert bert.aliases.version("acme", "bert", "prod").version.number == 1


@pytest.mark.parametrize(
    ("status", "lacking"),
    [
        (VerdictStatus.PENDING, {"validated"}),
        (VerdictStatus.QUARANTINED, {"validated"}),
        (VerdictStatus.REJECTED, {"validated"}),
        (VerdictStatus.VALIDATED, set()),
    ],
)
def test_only_a_verdict_that_is_validated_counts(bert: Registry, status: VerdictStatus, lacking: set[str]) -> None:
    approve(bert, ask(bert), "ben", "cid")
    validate(bert, status)
    assert missing(bert) == lacking


def test_an_approval_is_for_one_version_and_one_alias(bert: Registry) -> None:
    bert.policies.put("acme", "canary", by="root", require=APPROVED, approvals=1)
    approve(bert, ask(bert), "ben", "cid")
    assert missing(bert, number=2) == {"validated", "approved"}
    assert missing(bert, "canary") == {"approved"}
    assert missing(bert, "anything") == set()


def replace(dynamodb: Any, partition: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Let the last item of a partition be as another region has written it a moment later."""
    items = [item for item in dynamodb.scan(TableName=TABLE)["Items"] if item["pk"]["S"] == partition]
    with past_the_registry(dynamodb):
        dynamodb.put_item(TableName=TABLE, Item=change(max(items, key=lambda item: item["sk"]["S"])))


def test_a_verdict_is_on_a_version_and_not_on_its_number(bert: Registry, dynamodb: Any) -> None:
    """Two regions gave number 2 at the same moment: one to what is validated, and later the other to something else."""
    good = bert.versions.get("acme", "bert", 2)
    validated = Verdict(status=VerdictStatus.VALIDATED, requested_at="2026-01-01", inspected_at="2026-01-01")
    bert.verdicts.put("acme", good, validated, by="model-validation")
    bert.policies.put("acme", "canary", by="root", require=[Requirement.VALIDATED])
    assert missing(bert, "canary", number=2) == set()
    bert.aliases.delete("acme", "bert", "canary", by="ana")

    def other(item: dict[str, Any]) -> dict[str, Any]:
        return item | {"document": {"S": item["document"]["S"].replace(good.version.digest, "0" * 64)}}

    replace(dynamodb, "acme#versions", other)
    assert bert.verdicts.get("acme", "bert", 2) is None
    assert missing(bert, "canary", number=2) == {"validated"}
    gone = refused("resource_does_not_exist", bert.verdicts.put, "acme", good, validated, by="model-validation")
    assert "version=2" in gone


def test_the_gate_stays_shut_where_downloads_give_other_files_than_were_registered(
    bert: Registry, dynamodb: Any
) -> None:
    """Two regions froze one place at the same moment, each with its own file: the later one stands."""
    upload(bert, "m/1/weights", b"good")
    number = register(bert, "m/1")
    upload(bert, "m/2/weights", b"evil")
    register(bert, "m/2")
    approve(bert, ask(bert, number, alias="canary"), "ben")
    bert.policies.put("acme", "canary", by="root", require=APPROVED, approvals=1)
    assert missing(bert, "canary", number) == set()
    bert.aliases.delete("acme", "bert", "canary", by="ana")
    replace(dynamodb, "acme#locations", lambda evil: evil | {"sk": {"S": "m/1"}})
    assert missing(bert, "canary", number) == {"unchanged"}


def test_other_files_that_arrive_between_the_decision_and_its_transaction_close_the_gate(
    bert: Registry, dynamodb: Any
) -> None:
    upload(bert, "m/1/weights", b"good")
    number = register(bert, "m/1")
    upload(bert, "m/2/weights", b"evil")
    register(bert, "m/2")
    approve(bert, ask(bert, number, alias="canary"), "ben")
    bert.policies.put("acme", "canary", by="root", require=APPROVED, approvals=1)
    done: list[bool] = []

    def before_write(**_: Any) -> None:
        if not done:
            done.append(True)
            replace(dynamodb, "acme#locations", lambda evil: evil | {"sk": {"S": "m/1"}})

    event = "provide-client-params.dynamodb.TransactWriteItems"
    dynamodb.meta.events.register_first(event, before_write, unique_id="interfere")
    try:
        assert missing(bert, "canary", number) == {"unchanged"}
    finally:
        dynamodb.meta.events.unregister(event, unique_id="interfere")
    assert done
    assert bert.models.get("acme", "bert")[0].aliases == {}


def test_whoever_asked_does_not_count_even_where_somebody_wrote_that_into_the_table(
    bert: Registry, dynamodb: Any
) -> None:
    approve(bert, ask(bert), "ben")
    (item,) = (i for i in dynamodb.scan(TableName=TABLE)["Items"] if i["sk"]["S"].startswith("approval#"))
    (given,) = item["approvals"]["L"]
    item["approvals"]["L"].append({"M": given["M"] | {"by": {"S": "ana"}}})
    with past_the_registry(dynamodb):
        dynamodb.put_item(TableName=TABLE, Item=item)
    found = bert.versions.get("acme", "bert", 1)
    assert bert.approvals.holding("acme", found.model, found.version, "prod") == {"ben"}
    assert missing(bert) == {"approved"}


def test_an_approval_is_bound_to_what_the_version_was(bert: Registry, dynamodb: Any) -> None:
    approval = ask(bert)
    approve(bert, approval, "ben", "cid")
    found = bert.versions.get("acme", "bert", 1)
    assert approval.digest == found.version.digest
    assert bert.approvals.holding("acme", found.model, found.version, "prod") == {"ben", "cid"}
    (item,) = (i for i in dynamodb.scan(TableName=TABLE)["Items"] if i["sk"]["S"].startswith("approval#"))
    other = msgspec.structs.replace(found.version, digest="0" * 64)
    assert bert.approvals.holding("acme", found.model, other, "prod") == set()
    assert item["digest"]["S"] == approval.digest
    bert.models.delete("acme", "bert", by="ana")
    bert.models.create("acme", "bert", by="ana")
    version(bert, "acme", "bert")
    validate(bert, VerdictStatus.VALIDATED)
    assert missing(bert) == {"approved"}, "another model's approval"


@pytest.mark.parametrize("end", ["reject", "withdraw"])
def test_what_is_rejected_or_withdrawn_no_longer_counts_and_stays_so(bert: Registry, end: str) -> None:
    approval = ask(bert)
    approve(bert, approval, "ben", "cid")
    person = "dan" if end == "reject" else "ana"
    done = getattr(bert.approvals, end)("acme", "bert", approval.id, by=person, comment="no")
    assert (done.ended.by, done.ended.comment) == (person, "no")
    assert missing(bert) == {"approved"}
    for again in (bert.approvals.approve, bert.approvals.reject):
        assert refused("approval_decided", again, "acme", "bert", approval.id, by="eve")
    assert ask(bert).id != approval.id, "it may be asked again"


def test_who_asked_withdraws_and_others_reject(bert: Registry) -> None:
    approval = ask(bert)
    refused("own_request", bert.approvals.reject, "acme", "bert", approval.id, by="ana")
    refused("not_own_request", bert.approvals.withdraw, "acme", "bert", approval.id, by="ben")
    refused("approval_open", ask, bert)
    refused("resource_does_not_exist", ask, bert, 7)
    refused("resource_does_not_exist", bert.approvals.get, "acme", "bert", "1-x")
    refused("resource_does_not_exist", bert.approvals.get, "other", "bert", approval.id)


def test_a_tenant_may_ask_for_more_than_the_deployment_but_not_for_less(bert: Registry) -> None:
    put = bert.policies.put
    assert "validated is missing" in refused(
        "invalid_parameter_value", put, "acme", "prod", by="root", require=APPROVED
    )
    both = (Requirement.VALIDATED, Requirement.APPROVED)
    refused("invalid_parameter_value", put, "acme", "prod", by="root", require=both, approvals=1)
    put("acme", "prod", by="root", require=both, approvals=3)
    approve(bert, ask(bert), "ben", "cid")
    assert missing(bert) == {"approved"}
    assert {one.alias: one.origin for one in bert.policies.all("acme")} == {"prod": "tenant"}
    assert {one.alias: one.origin for one in bert.policies.all("other")} == {"prod": "deployment"}
    bert.policies.delete("acme", "prod", by="root")
    assert missing(bert) == set()
    refused("resource_does_not_exist", bert.policies.delete, "acme", "prod", by="root")


def test_what_a_deployment_asks_for_later_also_counts_where_a_tenant_had_a_policy_of_its_own(
    bert: Registry, dynamodb: Any, s3: Any
) -> None:
    """A policy that asked for no less than the deployment when it was set must not be the way round a stricter one."""
    bert.policies.put("acme", "canary", by="root", require=(Requirement.VALIDATED,))
    bert.policies.put("acme", "prod", by="root", require=PROD["prod"].require, approvals=3)
    stricter = {
        "canary": Policy(require=APPROVED, approvals=4),
        "prod": Policy(require=(*Requirement,), approvals=2),
    }
    later = build_registry(table=TABLE, dynamodb=dynamodb, bucket=BUCKET, s3=s3, policies=stricter)
    told = {one.alias: (set(one.require), one.approvals, one.origin) for one in later.policies.all("acme")}
    assert told == {
        "canary": ({Requirement.VALIDATED, Requirement.APPROVED}, 4, "tenant"),
        "prod": ({*Requirement}, 3, "tenant"),
    }
    assert missing(later, "canary") == {"approved"}
    assert missing(later) == {"approved", "signed"}


def test_policies_and_approvals_are_audited(bert: Registry) -> None:
    bert.policies.put("acme", "canary", by="root", require=APPROVED, approvals=1)
    bert.policies.delete("acme", "canary", by="root")
    approval = ask(bert)
    approve(bert, approval, "ben")
    bert.approvals.withdraw("acme", "bert", approval.id, by="ana")
    own = [(entry.by, entry.action) for entry in bert.trails.of_tenant("acme").entries]
    assert own == [("root", "policy.set"), ("root", "policy.deleted")]
    told = [(entry.by, entry.action) for entry in bert.trails.of_model("acme", "bert").entries]
    assert told[-3:] == [("ana", "approval.requested"), ("ben", "approval.given"), ("ana", "approval.withdrawn")]


def _replace_policy(registry: Registry) -> None:
    registry.policies.delete("acme", "prod", by="root")
    registry.policies.put("acme", "prod", by="root", require=(*Requirement,), approvals=2)


INTERFERENCES: dict[str, tuple[Callable[[Registry, Approval], object], set[str]]] = {
    "the verdict is taken back": (lambda r, _: validate(r, VerdictStatus.QUARANTINED), {"validated"}),
    "the approval is rejected": (
        lambda r, a: r.approvals.reject("acme", "bert", a.id, by="dan"),
        {"approved"},
    ),
    "the approval is withdrawn": (lambda r, a: r.approvals.withdraw("acme", "bert", a.id, by="ana"), {"approved"}),
    "the policy asks for more": (
        lambda r, _: r.policies.put("acme", "prod", by="root", require=(*Requirement,), approvals=2),
        {"signed"},
    ),
    "the policy is replaced by another one": (lambda r, _: _replace_policy(r), {"signed"}),
}


@pytest.mark.parametrize("how", INTERFERENCES)
def test_what_changes_between_the_decision_and_its_transaction_closes_the_gate(
    bert: Registry, dynamodb: Any, s3: Any, how: str
) -> None:
    approval = ask(bert)
    approve(bert, approval, "ben", "cid")
    bert.policies.put("acme", "prod", by="root", require=PROD["prod"].require, approvals=2)
    interfere, lacking = INTERFERENCES[how]
    other = build_registry(table=TABLE, dynamodb=dynamodb, bucket=BUCKET, s3=s3, policies=PROD)
    done: list[str] = []

    def before_write(**_: Any) -> None:
        if not done:
            done.append(how)
            interfere(other, approval)

    # The client of the first process is told just before it sends its transaction.
    dynamodb.meta.events.register_first(
        "provide-client-params.dynamodb.TransactWriteItems", before_write, unique_id="interfere"
    )
    try:
        assert missing(bert) == lacking
    finally:
        dynamodb.meta.events.unregister("provide-client-params.dynamodb.TransactWriteItems", unique_id="interfere")
    assert done
    assert bert.models.get("acme", "bert")[0].aliases == {}


def test_one_person_in_many_processes_counts_once(bert: Registry, process: Callable[[], Registry]) -> None:
    approval = ask(bert)

    def attempt(registry: Registry) -> str:
        try:
            registry.approvals.approve("acme", "bert", approval.id, by="ben")
        except Problem as problem:
            return problem.code
        return "approved"

    with ThreadPoolExecutor(8) as pool:
        outcomes = Counter(pool.map(attempt, [process() for _ in range(8)]))
    assert outcomes == {"approved": 1, "already_approved": 7}
    assert missing(bert) == {"approved"}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["ask", "approve", "reject", "withdraw"]), st.sampled_from(["ana", "ben", "cid"])),
        max_size=12,
    )
)
def test_the_gate_opens_exactly_for_two_others(process: Callable[[], Registry], steps: list[tuple[str, str]]) -> None:
    """Whatever people do in whatever order, beside a model of the rules."""
    registry = process()
    name = uuid.uuid4().hex
    registry.models.create("acme", name, by="ana")
    registry.versions.create("acme", name, source="s3://b/m", location="s3://b/m", by="ana")
    asked, agreed, current = "", set[str](), ""
    for step, person in steps:
        try:
            if step == "ask":
                current = registry.approvals.request("acme", name, 1, by=person, alias="prod").id
                assert not asked
                asked, agreed = person, set()
            elif current:
                getattr(registry.approvals, step)("acme", name, current, by=person)
                assert asked
                assert (person == asked) is (step == "withdraw")
                if step == "approve":
                    assert person not in agreed
                    agreed.add(person)
                else:
                    asked, agreed = "", set()
        except Problem as problem:
            if problem.status not in (403, 409):
                raise
    found = registry.versions.get("acme", name, 1)
    assert registry.approvals.holding("acme", found.model, found.version, "prod") == agreed
    assert asked not in agreed
    is_open = [one for one in registry.approvals.page("acme", name).approvals if one.status in OPEN]
    assert len(is_open) == bool(asked)


@pytest.fixture(name="call")
def _call(bert: Registry) -> Caller:
    return Caller(assemble(bert, verifier=People()))


class People(TenantInToken):
    """Tokens are ``<tenant>.<role>.<person>``."""

    def cached(self, token: str) -> Principal | None:
        head, _, person = token.rpartition(".")
        found = super().cached(head)
        return None if found is None else msgspec.structs.replace(found, subject=f"acme.{person}")


def test_both_protocols_refuse_in_their_own_form_and_name_what_is_missing(call: Caller) -> None:
    token = "acme.registrar.ana"
    mlflow = call("POST", ALIAS, {"name": "bert", "alias": "prod", "version": "2"}, token=token)
    assert (mlflow.status_code, mlflow.json()["error_code"]) == (409, "RESOURCE_CONFLICT")
    assert "validated (its validation is absent)" in mlflow.json()["message"]
    assert "approved (0 of 2 people have approved it)" in mlflow.json()["message"]
    own = call("PUT", "/v1/models/bert/aliases/prod", {"version": 2}, token=token)
    assert (own.status_code, own.headers["content-type"]) == (409, "application/problem+json")
    assert own.json()["code"] == "alias_policy_unmet"
    assert own.json()["missing"].keys() == {"validated", "approved"}


def test_people_let_a_version_through_over_the_api(call: Caller) -> None:
    asked = call(
        "POST", "/v1/models/bert/versions/1/approvals", {"alias": "prod", "comment": "c"}, token="acme.registrar.ana"
    )
    assert asked.status_code == 201
    one = f"/v1/models/bert/approvals/{asked.json()['id']}"
    assert call("POST", f"{one}/approve", {}, token="acme.registrar.ben").status_code == 403
    assert call("POST", f"{one}/approve", {}, token="acme.admin.ana").json()["code"] == "own_request"
    assert call("POST", f"{one}/approve", {"comment": "ok"}, token="acme.approver.ben").status_code == 200
    listed = call("GET", "/v1/models/bert/approvals?status=PENDING&version=1&alias=prod", token="acme.reader.x")
    assert [[given["by"] for given in one["approvals"]] for one in listed.json()["approvals"]] == [["acme.ben"]]
    assert call("GET", "/v1/models/bert/approvals?status=X", token="acme.reader.x").status_code == 400
    assert call("POST", f"{one}/approve", {}, token="acme.approver.cid").json()["status"] == "APPROVED"
    assert call("GET", one, token="acme.reader.x").json()["status"] == "APPROVED"
    done = call("PUT", "/v1/models/bert/aliases/prod", {"version": 1}, token="acme.registrar.ana")
    assert (done.status_code, done.json()) == (200, {"name": "bert", "alias": "prod", "version": 1})
    missing = call("PUT", "/v1/models/bert/aliases/prod", {}, token="acme.registrar.ana")
    assert (missing.status_code, missing.json()["field"]) == (400, "version")
    assert call("DELETE", "/v1/models/bert/aliases/prod", {}, token="acme.registrar.ana").status_code == 204


@pytest.mark.parametrize("step", ["approve", "reject", "withdraw"])
def test_nothing_is_decided_of_a_version_that_is_gone(
    bert: Registry, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that is said at once, not after the time for which others' changes are waited for."""
    approval = ask(bert)
    bert.versions.delete("acme", "bert", 1, by="ana")
    monkeypatch.setattr("anfl.registry.table.time.sleep", Mock(side_effect=AssertionError("waits for nobody")))
    by = "ana" if step == "withdraw" else "ben"
    refused("resource_does_not_exist", getattr(bert.approvals, step), "acme", "bert", approval.id, by=by)
    assert bert.approvals.get("acme", "bert", approval.id) == approval


def test_only_admins_set_policies(call: Caller) -> None:
    path, own = "/v1/models-policies/canary", {"require": ["validated"]}
    for role, status in (("reader", 403), ("registrar", 403), ("approver", 403), ("admin", 200)):
        assert call("PUT", path, own, token=f"acme.{role}.x").status_code == status
    wrongs: dict[str, list[dict[str, object]]] = {
        "require": [{"require": "signed"}, {"require": None}, {}, {"requires": ["signed"]}],
        "require[1]": [{"require": ["signed", "nonsense"]}, {"require": ["signed", 1]}],
        "approvals": [{"require": [], "approvals": wrong} for wrong in NO_NUMBERS],
    }
    for field, bodies in wrongs.items():  # what is left out by mistake does not ask for nothing
        for body in bodies:
            refused = call("PUT", path, body, token="acme.admin.x")
            told = refused.status_code, refused.json()["code"], refused.json()["field"]
            assert told == (400, "invalid_parameter_value", field), body
    for approvals in (5, "5", 5.0, None):
        done = call("PUT", path, own | {"approvals": approvals}, token="acme.admin.x").json()
        assert done["approvals"] == (2 if approvals is None else 5)
    policies = call("GET", "/v1/models-policies", token="acme.reader.x").json()["policies"]
    assert [(one["alias"], one["require"], one["origin"]) for one in policies] == [
        ("canary", ["validated"], "tenant"),
        ("prod", ["validated", "approved"], "deployment"),
    ]
    assert call("DELETE", path, {}, token="acme.admin.x").status_code == 204
    assert call("DELETE", path, {}, token="acme.admin.x").status_code == 404


def test_what_governance_costs(bert: Registry, calls: Counter[str]) -> None:
    calls.clear()
    approval = ask(bert)
    assert calls == {"BatchGetItem": 1, "Query": 1, "TransactWriteItems": 1}
    calls.clear()
    approve(bert, approval, "ben")
    assert calls == {"BatchGetItem": 1, "GetItem": 2, "TransactWriteItems": 1}
    approve(bert, approval, "cid")
    calls.clear()
    set_alias(bert)
    assert calls == {"BatchGetItem": 1, "GetItem": 2, "Query": 1, "TransactWriteItems": 1}


def test_what_was_asked_is_told_page_by_page_by_version_and_time(
    call: Caller, bert: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [
        bert.approvals.request("acme", "bert", number, by="ana", alias=f"a{turn}").id
        for number in (1, 2)
        for turn in range(4)
    ]
    bert.approvals.withdraw("acme", "bert", asked[1], by="ana")
    bert.approvals.withdraw("acme", "bert", asked[6], by="ana")

    def listed(query: str = "", *, limit: int = 1000) -> list[list[str]]:
        found: list[list[str]] = []
        token: str | None = ""
        while token is not None:
            path = f"/v1/models/bert/approvals?limit={limit}&page_token={token}{query}"
            answer = call("GET", path, token="acme.reader.x").json()
            found.append([one["id"] for one in answer["approvals"]])
            token = answer["next_page_token"]
        return found

    whole = bert.approvals.page("acme", "bert").approvals
    in_order = sorted(whole, key=lambda one: (one.version, one.requested.at, one.id))
    ids = [one.id for one in in_order]
    assert listed() == [ids]
    assert sorted(ids) == sorted(asked)
    for limit in (1, 3, 4, 7):
        assert listed(limit=limit) == [ids[start : start + limit] for start in range(0, 8, limit)]
    assert listed("&version=2", limit=3) == [ids[4:7], ids[7:]]
    pending = [one.id for one in in_order if one.status is ApprovalStatus.PENDING]
    assert listed("&status=PENDING", limit=4) == [pending[:4], pending[4:]]
    monkeypatch.setattr("anfl.registry.pages.MAX_PAGE_BYTES", 900)
    assert [one for page in listed() for one in page] == ids
    assert len(listed()) > 2
    for number in (0, -1, 3):
        assert listed(f"&version={number}") == [[]]
    made_up = ("x", "1-x", "0-x", "3-x", f"2{ids[0][1:]}")
    bad = ("limit=0", "limit=1001", f"version=2&page_token={ids[0]}", *(f"page_token={token}" for token in made_up))
    for query in bad:
        assert call("GET", f"/v1/models/bert/approvals?{query}", token="acme.reader.x").status_code == 400


def test_no_more_people_approve_one_request_than_stand_in_its_item(
    bert: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anfl.registry.approvals.MAX_APPROVERS", 3)
    approval = ask(bert)
    approve(bert, approval, "ben", "cid", "dan")
    refused("approval_limit", bert.approvals.approve, "acme", "bert", approval.id, by="eve")
    assert len(bert.approvals.get("acme", "bert", approval.id).approvals) == 3
    bert.approvals.reject("acme", "bert", approval.id, by="eve")


def test_as_many_people_as_may_approve_with_the_longest_comments(bert: Registry) -> None:
    approval = ask(bert)
    for number in range(MAX_APPROVERS):
        bert.approvals.approve(
            "acme", "bert", approval.id, by=f"{number:0256}", comment="\u0394" * (MAX_COMMENT_BYTES // 2)
        )
    assert len(bert.approvals.page("acme", "bert").approvals[0].approvals) == MAX_APPROVERS


def test_the_gate_stays_shut_where_a_place_around_gives_less_than_was_registered(bert: Registry, dynamodb: Any) -> None:
    """Two regions froze one in the other at the same moment."""
    for name in ("code.py", "weights"):
        upload(bert, f"m/1/{name}", b"good")
    number = register(bert, "m/1")
    upload(bert, "m/2/weights", b"evil")
    register(bert, "m/2")
    approve(bert, ask(bert, number, alias="canary"), "ben")
    bert.policies.put("acme", "canary", by="root", require=APPROVED, approvals=1)
    assert missing(bert, "canary", number) == set()
    bert.aliases.delete("acme", "bert", "canary", by="ana")
    replace(dynamodb, "acme#locations", lambda other: other | {"sk": {"S": "m"}})
    assert missing(bert, "canary", number) == {"unchanged"}
