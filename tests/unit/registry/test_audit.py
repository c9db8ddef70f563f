"""The audit: who did what, that every change has its entry, and that nobody changes the past unseen."""

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anfl.registry import audit
from anfl.registry.audit import Broken, Change, Entry, Head
from anfl.registry.entities import Stage
from anfl.registry.registry import Registry
from anfl.registry.trails import Page
from services.model_registry.app import assemble
from tests.unit.registry.conftest import TABLE, items, past_the_registry
from tests.unit.registry.test_models import refused, version
from tests.unit.registry.test_protocol import Caller, TenantInToken

PATH = "/v1/models/bert/audit"


def chain(length: int, name: str = "m") -> list[Entry]:
    entries: list[Entry] = []
    head = Head()
    for number in range(length):
        change = Change(by=f"p{number}", at=number, action="model.described", before={"n": number}, after={"n": None})
        entries.append(audit.entry(name, head, change))
        head = Head(sequence=number + 1, hash=entries[-1].hash)
    return entries


def head(entries: list[Entry]) -> Head:
    return Head(sequence=len(entries), hash=entries[-1].hash)


ALTERATIONS: dict[str, Callable[[Entry], Entry]] = {
    "who": lambda entry: msgspec.structs.replace(entry, by="somebody else"),
    "when": lambda entry: msgspec.structs.replace(entry, at=entry.at + 1),
    "what": lambda entry: msgspec.structs.replace(entry, action="alias.set"),
    "version": lambda entry: msgspec.structs.replace(entry, version=7),
    "before": lambda entry: msgspec.structs.replace(entry, before={}),
    "after": lambda entry: msgspec.structs.replace(entry, after={"n": 1}),
    "all of it, with a hash that fits": lambda entry: rehashed(msgspec.structs.replace(entry, by="somebody else")),
}


def rehashed(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, hash=audit.digest(entry))


def test_a_chain_that_nobody_touched_holds() -> None:
    assert audit.verify("m", chain(5), head(chain(5))) is None
    assert audit.verify("m", [], Head()) is None


@pytest.mark.parametrize("how", ALTERATIONS)
@pytest.mark.parametrize("at", range(4))
def test_an_altered_entry_is_named(how: str, at: int) -> None:
    entries = chain(4)
    end = head(entries)
    entries[at] = ALTERATIONS[how](entries[at])
    broken = audit.verify("m", entries, end)
    assert broken is not None
    # A hash that fits moves the break to the next link, and at the end to what the record says.
    later = how.startswith("all") and at < 3
    assert broken.sequence == at + (2 if later else 1)


@given(st.integers(2, 8), st.randoms())
def test_whatever_is_removed_swapped_or_inserted_is_noticed(length: int, chance: random.Random) -> None:
    entries = chain(length)
    end = head(entries)
    at = chance.randrange(length)
    changed = list(entries)
    match chance.choice(["remove", "swap", "insert", "truncate", "foreign"]):
        case "remove":
            del changed[at]
        case "swap":
            other = chance.choice([n for n in range(length) if n != at])
            changed[at], changed[other] = changed[other], changed[at]
            at = min(at, other)
        case "insert":
            changed.insert(at, entries[chance.randrange(length)])
            at += changed[at] == entries[at]
        case "truncate":
            changed = changed[:at]
        case "foreign":
            changed[at] = chain(length, "other")[at]
    broken = audit.verify("m", changed, end)
    assert broken is not None
    assert broken.sequence == at + 1


def test_a_chain_that_was_computed_anew_is_told_by_a_head_that_was_noted() -> None:
    noted = head(chain(3))
    forged = [rehashed(msgspec.structs.replace(chain(1)[0], by="somebody else"))]
    for entry in chain(5)[1:]:
        forged.append(rehashed(msgspec.structs.replace(entry, previous=forged[-1].hash)))
    assert audit.verify("m", forged, head(forged)) is None
    broken = audit.verify("m", forged, head(forged), expected=noted)
    assert broken == Broken(chain="m", sequence=3, reason="not the entry that was noted")
    assert audit.verify("m", forged[:3], head(forged[:3]), expected=noted) is not None
    assert audit.verify("m", chain(2), head(chain(2)), expected=noted) is not None
    assert audit.verify("m", chain(5), head(chain(5)), expected=noted) is None


def everything(registry: Registry) -> None:
    """Each change that a model can have, once."""
    registry.models.create("acme", "bert", tags={"team": "nlp"}, description="d", by="ana")
    version(registry, "acme", "bert")
    version(registry, "acme", "bert")
    registry.models.describe("acme", "bert", "better", by="ben")
    registry.model_tags.set("acme", "bert", "team", "x" * 50_000, by="ben")
    registry.model_tags.delete("acme", "bert", "team", by="ben")
    registry.aliases.set("acme", "bert", "champion", 1, by="cid")
    registry.aliases.set("acme", "bert", "champion", 2, by="cid")
    registry.aliases.delete("acme", "bert", "champion", by="cid")
    registry.versions.describe("acme", "bert", 1, "first", by="dan")
    registry.version_tags.set("acme", "bert", 1, "k", "v", by="dan")
    registry.version_tags.delete("acme", "bert", 1, "k", by="dan")
    registry.stages.transition("acme", "bert", 1, Stage.STAGING, by="eve")
    registry.stages.transition("acme", "bert", 2, Stage.STAGING, archive_existing=True, by="eve")
    registry.verdicts.request("acme", registry.versions.get("acme", "bert", 1), by="eve")
    registry.aliases.set("acme", "bert", "champion", 1, by="cid")
    registry.versions.delete("acme", "bert", 1, by="fay")
    registry.models.rename("acme", "bert", "bertha", by="fay")


def whole(registry: Registry, name: str, **which: Any) -> Page:
    page = registry.trails.of_model("acme", name, limit=1000, **which)
    assert audit.verify(page.chain, page.entries, page.head) is None
    return page


def test_each_change_is_told_with_who_what_before_and_after(registry: Registry) -> None:
    everything(registry)
    entries = whole(registry, "bertha").entries
    told = [(entry.by, entry.action, entry.version, entry.before, entry.after) for entry in entries]
    assert [entry[:3] for entry in told[:3]] == [
        ("ana", "model.created", None),
        ("ana", "version.created", 1),
        ("ana", "version.created", 2),
    ]
    large = entries[4].after["tags"]["team"]
    assert large["bytes"] == 50_000
    assert told[3:] == [
        ("ben", "model.described", None, {"description": "d"}, {"description": "better"}),
        ("ben", "model.tag.set", None, {"tags": {"team": "nlp"}}, {"tags": {"team": large}}),
        ("ben", "model.tag.deleted", None, {"tags": {"team": large}}, {"tags": {"team": None}}),
        ("cid", "alias.set", 1, {"aliases": {"champion": None}}, {"aliases": {"champion": 1}}),
        ("cid", "alias.set", 2, {"aliases": {"champion": 1}}, {"aliases": {"champion": 2}}),
        ("cid", "alias.deleted", 2, {"aliases": {"champion": 2}}, {"aliases": {"champion": None}}),
        ("dan", "version.described", 1, {"description": None}, {"description": "first"}),
        ("dan", "version.tag.set", 1, {"tags": {"k": None}}, {"tags": {"k": "v"}}),
        ("dan", "version.tag.deleted", 1, {"tags": {"k": "v"}}, {"tags": {"k": None}}),
        ("eve", "version.moved", 1, {"stages": {"1": "None"}}, {"stages": {"1": "Staging"}}),
        (
            "eve",
            "version.moved",
            None,
            {"stages": {"1": "Staging", "2": "None"}},
            {"stages": {"1": "Archived", "2": "Staging"}},
        ),
        ("eve", "validation.requested", 1, {}, entries[14].after),
        ("cid", "alias.set", 1, {"aliases": {"champion": None}}, {"aliases": {"champion": 1}}),
        ("fay", "version.deleted", 1, entries[16].before, {"aliases": {"champion": None}}),
        ("fay", "model.renamed", None, {"name": "bert"}, {"name": "bertha"}),
    ]
    assert entries[14].after["validation"] == "PENDING"
    assert entries[16].before["aliases"] == {"champion": 1}


def test_what_changes_nothing_leaves_no_entry(registry: Registry) -> None:
    registry.models.create("acme", "bert", tags={"k": "v"}, by="ana")
    version(registry, "acme", "bert")
    registry.aliases.set("acme", "bert", "a", 1, by="ana")
    registry.aliases.set("acme", "bert", "a", 1, by="ana")
    registry.model_tags.set("acme", "bert", "k", "v", by="ana")
    registry.model_tags.delete("acme", "bert", "absent", by="ana")
    registry.aliases.delete("acme", "bert", "absent", by="ana")
    registry.version_tags.delete("acme", "bert", 1, "absent", by="ana")
    assert len(whole(registry, "bert").entries) == 3


def test_a_deleted_models_audit_remains_and_a_new_model_begins_its_own(registry: Registry) -> None:
    registry.models.create("acme", "bert", by="ana")
    first = whole(registry, "bert").chain
    registry.models.delete("acme", "bert", by="ben")
    page = whole(registry, "bert")
    assert (page.chain, page.head) == (first, None)
    assert (page.entries[-1].by, page.entries[-1].action) == ("ben", "model.deleted")
    registry.models.create("acme", "bert", by="cid")
    assert whole(registry, "bert").chain != first
    assert whole(registry, "bert", model_id=first).entries == page.entries
    assert audit.verify(first, page.entries[:-1], None) is not None, "its end was cut off"


def test_a_renamed_models_audit_is_found_by_both_names_and_a_verdict_still_reaches_it(registry: Registry) -> None:
    registry.models.create("acme", "bert", by="ana")
    version(registry, "acme", "bert")
    before = registry.versions.get("acme", "bert", 1)
    registry.models.rename("acme", "bert", "b2", by="ana")
    registry.models.rename("acme", "b2", "b3", by="ana")
    registry.verdicts.request("acme", before, by="eve")
    assert whole(registry, "bert") == whole(registry, "b2") == whole(registry, "b3")
    assert whole(registry, "b3").entries[-1].action == "validation.requested"
    refused("resource_does_not_exist", registry.trails.of_model, "other", "bert")
    refused("resource_does_not_exist", registry.trails.of_model, "acme", "absent")


TAMPERINGS: dict[str, tuple[Callable[[list[dict[str, Any]]], tuple[list[Any], list[Any]]], str]] = {
    "altered": (
        lambda rows: ([rows[1] | {"entry": {"S": rows[1]["entry"]["S"].replace('"by":"ana"', '"by":"eve"')}}], []),
        "altered",
    ),
    "made unreadable": (lambda rows: ([rows[1] | {"entry": {"S": "{"}}], []), "altered"),
    "removed": (lambda rows: ([], [rows[1]]), "missing or out of order"),
    "reordered": (
        lambda rows: ([rows[1] | {"sk": rows[2]["sk"]}, rows[2] | {"sk": rows[1]["sk"]}], []),
        "missing or out of order",
    ),
    "inserted": (lambda rows: ([rows[0] | {"sk": {"S": "000000000001a"}}], []), "missing or out of order"),
    "truncated": (lambda rows: ([], rows[1:]), "missing"),
}


@pytest.mark.parametrize("how", TAMPERINGS)
def test_what_somebody_does_to_the_table_is_noticed(registry: Registry, dynamodb: Any, how: str) -> None:
    registry.models.create("acme", "bert", by="ana")
    for number in range(3):
        registry.models.describe("acme", "bert", str(number), by="ana")
    whole(registry, "bert")
    rows = sorted((i for i in items(dynamodb) if "#audit#" in i["pk"]["S"]), key=lambda row: str(row["sk"]["S"]))
    tamper, reason = TAMPERINGS[how]
    puts, deletes = tamper(rows)
    with past_the_registry(dynamodb):
        for row in puts:
            dynamodb.put_item(TableName=TABLE, Item=row)
        for row in deletes:
            dynamodb.delete_item(TableName=TABLE, Key={"pk": row["pk"], "sk": row["sk"]})
    page = registry.trails.of_model("acme", "bert")
    broken = audit.verify(page.chain, page.entries, page.head)
    assert broken is not None
    assert broken.sequence == 2
    assert broken.reason.startswith(reason)


def test_sixteen_who_change_one_model_at_once_leave_one_whole_chain(process: Callable[[], Registry]) -> None:
    processes = [process() for _ in range(4)]
    processes[0].models.create("acme", "bert", by="ana")
    version(processes[0], "acme", "bert")

    def change(writer: int) -> None:
        registry = processes[writer % 4]
        registry.version_tags.set("acme", "bert", 1, f"k{writer}", "v", by=f"p{writer}")
        registry.aliases.set("acme", "bert", f"a{writer}", 1, by=f"p{writer}")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(change, range(16)))
    page = whole(processes[0], "bert")
    assert Counter(entry.by for entry in page.entries) == {"ana": 2} | {f"p{writer}": 2 for writer in range(16)}


@pytest.fixture(name="call")
def _call(registry: Registry) -> Caller:
    return Caller(assemble(registry, verifier=TenantInToken()))


def test_the_api_gives_the_audit_in_pages(call: Caller) -> None:
    call("POST", "/api/2.0/mlflow/registered-models/create", {"name": "bert"})
    for number in range(4):
        call("PATCH", "/api/2.0/mlflow/registered-models/update", {"name": "bert", "description": str(number)})
    entries: list[Entry] = []
    token: str | None = ""
    while token is not None:
        response = call("GET", PATH, params={"limit": 2, "page_token": token}, token="acme.approver")
        page = msgspec.json.decode(response.content, type=Page)
        entries += page.entries
        token = page.next_page_token
    assert [entry.by for entry in entries] == ["s"] * 5
    assert audit.verify(page.chain, entries, page.head) is None


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=0", 400), ("limit=1001", 400), ("page_token=x", 400), ("page_token=-1", 400), ("model_id=x", 404)],
)
def test_impossible_pages_are_refused_as_problem_documents(call: Caller, query: str, status: int) -> None:
    call("POST", "/api/2.0/mlflow/registered-models/create", {"name": "bert"})
    response = call("GET", f"{PATH}?{query}")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


def test_only_those_who_watch_read_the_audit(call: Caller) -> None:
    call("POST", "/api/2.0/mlflow/registered-models/create", {"name": "bert"})
    for path in (PATH, "/v1/models-audit", "/v1/models-audit/chains"):
        for role, status in (("reader", 403), ("registrar", 403), ("approver", 200), ("operator", 200)):
            assert call("GET", path, token=f"acme.{role}").status_code == status
    assert call("GET", PATH, token="other.admin").status_code == 404
    assert [model["name"] for model in call("GET", "/v1/models-audit/chains").json()["models"]] == ["bert"]


def test_which_models_have_an_audit_is_told_page_by_page(call: Caller, registry: Registry) -> None:
    for number in range(5):
        registry.models.create("acme", f"m{number}", by="ana")
        registry.models.rename("acme", f"m{number}", f"n{number}", by="ana")
    registry.models.delete("acme", "n4", by="ana")
    registry.policies.put("acme", "canary", by="ana", require=[])  # the tenant's own chain stands among them
    registry.models.create("other", "theirs", by="ana")
    found: list[str] = []
    token: str | None = ""
    while token is not None:
        answer = call("GET", f"/v1/models-audit/chains?limit=3&page_token={quote(token)}").json()
        assert len(answer["models"]) == (3 if len(found) < 9 else 1)
        found += [model["name"] for model in answer["models"]]
        token = answer.get("next_page_token")
    assert sorted(found) == sorted([f"{kind}{number}" for kind in "mn" for number in range(5)])
    for query in ("limit=0", "limit=1001", "page_token=tenant", "page_token=x%23y"):
        assert call("GET", f"/v1/models-audit/chains?{query}").status_code == 400


def test_a_page_of_models_with_an_audit_ends_before_the_gateway_would_refuse_it(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anfl.registry.pages.MAX_PAGE_BYTES", 3000)
    for number in range(5):
        registry.models.create("acme", f"{number}" * 1000, by="ana")
    found: list[str] = []
    page = registry.trails.chains("acme")
    while True:
        assert 0 < len(page.models) < 3
        found += [bearer.name for bearer in page.models]
        if page.next_page_token is None:
            break
        page = registry.trails.chains("acme", after=page.next_page_token)
    assert sorted(found) == [f"{number}" * 1000 for number in range(5)]


def test_what_reading_the_audit_costs(registry: Registry, calls: Counter[str]) -> None:
    registry.models.create("acme", "bert", by="ana")
    calls.clear()
    registry.trails.of_model("acme", "bert")
    assert calls == {"Query": 2, "GetItem": 1}


def test_a_page_of_large_entries_ends_before_the_gateway_would_refuse_it(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anfl.registry.pages.MAX_PAGE_BYTES", 3000)
    registry.models.create("acme", "bert", by="ana")
    for number in range(5):
        registry.models.describe("acme", "bert", f"{number}" * 1000, by="ana")
    found: list[int] = []
    page = registry.trails.of_model("acme", "bert", limit=1000)
    while True:
        assert 0 < sum(len(str(entry)) for entry in page.entries) < 6000
        found += [entry.sequence for entry in page.entries]
        if page.next_page_token is None:
            break
        page = registry.trails.of_model("acme", "bert", after=int(page.next_page_token), limit=1000)
    assert found == [1, 2, 3, 4, 5, 6]
