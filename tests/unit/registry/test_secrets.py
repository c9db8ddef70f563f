"""Secrets of webhooks: sealed where they stand, opened nowhere else, and seen by nobody who delivers."""

import base64
import hashlib
import hmac
import io
import json
import logging
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import msgspec
import pytest

from anfl.crypto.data_keys import KEPT_SECONDS
from anfl.problems import Problem
from anfl.registry import keys
from anfl.registry.deliveries import Delivered, Deliveries
from anfl.registry.delivery_signatures import ByFunction, SigningError, ToSign, WithSecrets
from anfl.registry.home import Home
from anfl.registry.registry import Registry
from anfl.registry.rewrapping import SecretRewrapping
from anfl.registry.sealed_secrets import SealedSecrets
from anfl.registry.secrets import InClear, is_sealed
from anfl.registry.table import LostRaceError, Put
from anfl.registry.webhooks import Webhook, Webhooks
from anfl.resources import SECRET_WRITES, RegistryPartition
from lambda_src.webhook_signer.handler import Function as Signing
from lambda_src.webhooks.handler import Function, NotTakenError
from tests.unit.crypto.wrapping import FakeTransit
from tests.unit.invocation import Invocation
from tests.unit.registry.conftest import PUBLIC, TABLE, Time, items, past_the_registry, received
from tests.unit.registry.test_webhooks import EVENT, URL

CANARY = "canary-secret-of-a-webhook"
ASKED = ToSign(tenant="acme", webhook_id="", delivery="d-1", timestamp="5000", body='{"a": "ü"}')


@pytest.fixture(name="registry")
def _registry(process: Callable[..., Registry], time: Time) -> Registry:
    return process(time)


def hook(registry: Registry, tenant: str = "acme", **more: Any) -> Webhook:
    given = {"by": "ana", "name": "hook", "url": URL, "events": [EVENT], "secret": CANARY}
    return registry.webhooks.create(tenant, **given | more)


def secrets(registry: Registry, transit: FakeTransit, *, region: str = "us-east-1", time: Time | None = None) -> Any:
    monotonic = {} if time is None else {"monotonic": time}
    return SealedSecrets(registry.records.table, transit, region=region, **monotonic)


def from_before(registry: Registry, tenant: str = "acme", **more: Any) -> Webhook:
    """As a release made one that sealed nothing."""
    webhooks = Webhooks(registry.records.table, secrets=InClear(), resolver=lambda _: [PUBLIC])
    given = {"by": "ana", "name": "old", "url": URL, "events": [EVENT], "secret": CANARY}
    return webhooks.create(tenant, **given | more)


def rewrapping(registry: Registry, transit: FakeTransit) -> SecretRewrapping:
    return SecretRewrapping(registry.records.table, registry.webhooks, transit, transit)


def by_hand(asked: ToSign, secret: str = CANARY) -> str:
    text = f"{asked.delivery}.{asked.timestamp}.{asked.body}".encode()
    return "v1," + base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()


def code_of(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        call()
    return caught.value.status, caught.value.code


def test_nothing_in_the_table_shows_a_secret(registry: Registry, dynamodb: Any) -> None:
    made = hook(registry)
    registry.webhooks.update("acme", made.id, secret=f"{CANARY}-2", by="ana")
    registry.models.create("acme", "bert", by="ana")
    assert is_sealed(registry.webhooks.get("acme", made.id).secret or "")
    whole = json.dumps(items(dynamodb), default=str)
    assert CANARY not in whole
    assert base64.b64encode(CANARY.encode()).decode().rstrip("=") not in whole


def test_another_process_signs_by_it(registry: Registry, process: Callable[..., Registry], time: Time) -> None:
    made = hook(registry)
    other = process(time)
    asked = msgspec.structs.replace(ASKED, webhook_id=made.id)
    assert other.deliveries.signer.sign(asked, other.webhooks.get("acme", made.id)) == by_hand(asked)


def test_it_opens_for_no_other_webhook_tenant_or_region(registry: Registry, transit: FakeTransit) -> None:
    made = hook(registry)
    kept, own = made.secret or "", secrets(registry, transit)
    assert own.open("acme", made.id, kept) == CANARY
    hook(registry, "other")
    damaged = (503, "secret_damaged")
    assert code_of(lambda: own.open("acme", "another", kept)) == damaged
    assert code_of(lambda: own.open("other", made.id, kept)) == damaged
    assert code_of(lambda: own.open("acme", made.id, kept[:-8] + "AAAAAAA=")) == damaged
    assert code_of(lambda: own.open("acme", made.id, "anfl-sealed:no base64")) == damaged


def test_a_region_makes_a_key_of_its_own_and_opens_what_others_sealed(registry: Registry, transit: FakeTransit) -> None:
    one, other = secrets(registry, transit), secrets(registry, transit, region="eu-west-1")
    kept = [one.seal("acme", "w", CANARY), other.seal("acme", "w", CANARY)]
    places = [item["sk"] for item in registry.records.table.query(keys.DATA_KEYS)]
    assert places == ["_secrets/acme/eu-west-1", "_secrets/acme/us-east-1"]
    for opener in (one, other):
        assert [opener.open("acme", "w", each) for each in kept] == [CANARY, CANARY]


def test_who_loses_the_race_for_a_key_uses_the_winners(registry: Registry, transit: FakeTransit) -> None:
    late, generate = secrets(registry, transit), transit.generate

    def slowly(context: str) -> object:
        made = generate(context)
        transit.generate = generate  # type: ignore[method-assign]
        secrets(registry, transit).seal("acme", "w", "the winner's")
        return made

    transit.generate = slowly  # type: ignore[assignment, method-assign]
    kept = late.seal("acme", "w", CANARY)
    assert secrets(registry, transit).open("acme", "w", kept) == CANARY


def test_without_vault_known_tenants_go_on_for_an_hour_and_the_rest_is_503(
    registry: Registry, transit: FakeTransit, time: Time, process: Callable[..., Registry]
) -> None:
    made = hook(registry)
    transit.away = True
    hook(registry)
    unavailable = (503, "key_unavailable")
    assert code_of(lambda: hook(registry, "other")) == unavailable
    assert code_of(lambda: hook(process(time))) == unavailable
    assert registry.webhooks.all("other") == []
    registry.webhooks.update("acme", made.id, name="new", by="ana")
    time.now += KEPT_SECONDS
    assert code_of(lambda: registry.webhooks.update("acme", made.id, secret="x", by="ana")) == unavailable
    assert registry.webhooks.get("acme", made.id).secret == made.secret
    transit.away = False
    assert registry.deliveries.signer.sign(ASKED, made)


def test_a_table_that_does_not_answer_does_not_take_away_what_is_in_memory(
    registry: Registry, transit: FakeTransit, time: Time
) -> None:
    own = secrets(registry, transit, time=time)
    kept = own.seal("acme", "w", CANARY)
    registry.records.table._name = "gone"
    time.now += KEPT_SECONDS / 2
    assert own.open("acme", "w", kept) == CANARY
    time.now += KEPT_SECONDS / 2
    assert code_of(lambda: own.open("acme", "w", kept)) == (503, "key_unavailable")


def test_a_process_without_a_vault_opens_nothing_that_is_sealed(registry: Registry) -> None:
    made = hook(registry)
    assert code_of(lambda: WithSecrets().sign(ASKED, made)) == (503, "key_unavailable")


@pytest.mark.parametrize("webhook_id", ["absent", "x" * 300, "\ud800"])
def test_what_is_no_webhook_gets_no_secret(registry: Registry, transit: FakeTransit, webhook_id: str) -> None:
    def update() -> None:
        registry.webhooks.update("acme", webhook_id, secret=CANARY, by="ana")

    assert code_of(update) == (404, "resource_does_not_exist")
    assert transit.calls == []


def test_the_audit_tells_that_a_secret_was_set(registry: Registry) -> None:
    made = hook(registry)
    registry.webhooks.update("acme", made.id, name="new", by="ana")
    registry.webhooks.update("acme", made.id, secret=CANARY, by="ana")
    told = [entry.after for entry in registry.trails.of_tenant("acme").entries[-2:]]
    assert [entry["secret_changed"] for entry in told] == [False, True]


# secrets from before


def test_a_secret_from_before_signs_until_it_is_sealed_and_after(registry: Registry, transit: FakeTransit) -> None:
    old = from_before(registry)
    asked = msgspec.structs.replace(ASKED, webhook_id=old.id)
    assert registry.deliveries.signer.sign(asked, old) == by_hand(asked)
    turn = rewrapping(registry, transit).turn()
    assert (turn.sealed, turn.after) == (1, None)
    now_sealed = registry.webhooks.get("acme", old.id)
    assert is_sealed(now_sealed.secret or "")
    assert msgspec.structs.replace(now_sealed, secret=old.secret, revision=old.revision) == old
    assert registry.deliveries.signer.sign(asked, now_sealed) == by_hand(asked)
    entry = registry.trails.of_tenant("acme").entries[-1]
    assert (entry.by, entry.action) == ("anfl", "webhook.sealed")
    assert rewrapping(registry, transit).turn().sealed == 0


def test_sealing_those_from_before_goes_on_where_it_was_interrupted(
    registry: Registry, transit: FakeTransit, dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tenant in ("acme", "other", "third"):
        from_before(registry, tenant)
        from_before(registry, tenant, secret=None)
    scan, pages = dynamodb.scan, 0

    def small(**given: Any) -> Any:
        nonlocal pages
        pages += 1
        return scan(**given, Limit=3)

    monkeypatch.setattr(registry.records.table._client, "scan", small, raising=False)
    after: str | None = ""
    sealed = turns = 0
    while after is not None:
        turn = rewrapping(registry, transit).turn(after=after, enough=lambda: True)
        after, sealed, turns = turn.after, sealed + turn.sealed, turns + 1
    assert sealed == 3
    assert turns == pages > 3
    assert CANARY not in json.dumps(items(dynamodb), default=str)


def test_who_changes_a_secret_while_it_is_being_sealed_keeps_the_change(
    registry: Registry, transit: FakeTransit
) -> None:
    old = from_before(registry)
    seal = registry.webhooks._secrets.seal
    changed = iter([True])

    def slowly(tenant: str, webhook_id: str, secret: str) -> str:
        if next(changed, False):
            registry.webhooks.update("acme", old.id, secret="new", by="ben")
        return seal(tenant, webhook_id, secret)

    registry.webhooks._secrets.seal = slowly  # type: ignore[method-assign]
    assert rewrapping(registry, transit).turn().sealed == 0
    kept = registry.webhooks.get("acme", old.id).secret or ""
    assert secrets(registry, transit).open("acme", old.id, kept) == "new"


# rotation


def test_after_a_rotation_keys_move_and_earlier_versions_can_be_retired(
    registry: Registry, transit: FakeTransit
) -> None:
    made = [hook(registry, tenant) for tenant in ("acme", "other")]
    transit.version = 2
    transit.calls.clear()
    moved = rewrapping(registry, transit).wrapped_keys()
    assert (moved.active, moved.moved, moved.kept, moved.behind) == (2, 2, 0, 0)
    assert set(transit.calls) == {"rewrap"}, "nobody but Vault sees a key"
    again = rewrapping(registry, transit).wrapped_keys()
    assert (again.moved, again.kept) == (0, 2)
    transit.forget(1)
    cold = secrets(registry, transit)
    assert [cold.open(tenant, one.id, one.secret or "") for tenant, one in zip(("acme", "other"), made, strict=True)]


def test_a_pass_is_bounded_and_the_next_one_ends_it(registry: Registry, transit: FakeTransit) -> None:
    for tenant in ("a", "b", "c"):
        hook(registry, tenant)
    transit.version = 2
    left = iter([False, True, True])
    first = rewrapping(registry, transit).wrapped_keys(enough=lambda: next(left))
    assert (first.moved, first.remaining, first.behind) == (1, 2, 2)
    second = rewrapping(registry, transit).wrapped_keys()
    assert (second.moved, second.kept, second.behind) == (2, 1, 0)


def test_a_damaged_key_is_told_and_left_alone(registry: Registry, transit: FakeTransit) -> None:
    hook(registry)
    hook(registry, "other")
    place = keys.data_key_place("acme", "us-east-1")
    forged = {"wrapped": transit.generate("another place").wrapped, "revision": 1}
    registry.records.table.write(Put(key=keys.data_key(place), item=forged))
    transit.version = 2
    moved = rewrapping(registry, transit).wrapped_keys()
    assert (moved.moved, moved.damaged, moved.behind) == (1, [place], 1)
    assert (registry.records.table.get(keys.data_key(place)) or {})["wrapped"] == forged["wrapped"]


def test_who_moved_a_key_meanwhile_is_not_overwritten(
    registry: Registry, transit: FakeTransit, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook(registry)
    transit.version = 2
    table, write = registry.records.table, registry.records.table.write
    first = iter([True])

    def once_late(*actions: Any) -> None:
        if next(first, False):
            write(*actions)
            raise LostRaceError
        write(*actions)

    monkeypatch.setattr(table, "write", once_late)
    moved = rewrapping(registry, transit).wrapped_keys()
    assert (moved.moved, moved.kept, moved.behind) == (0, 1, 0)


# the function that signs, and the one that delivers


class Lambda:
    """Calls the function that signs, as Lambda would; keeps what went there and back."""

    def __init__(self, signing: Signing) -> None:
        self.signing = signing
        self.told: list[str] = []

    def invoke(self, **given: Any) -> dict[str, Any]:
        assert given["FunctionName"] == "anfl-dev-webhook-signer"
        answer = json.dumps(self.signing.answer(json.loads(given["Payload"]), Invocation(seconds=50))).encode()
        self.told += [given["Payload"].decode(), answer.decode()]
        return {"Payload": io.BytesIO(answer)}


@pytest.fixture(name="signing")
def _signing(registry: Registry, transit: FakeTransit) -> Signing:
    signer = WithSecrets(secrets(registry, transit))
    return Signing(registry.webhooks, signer, rewrapping(registry, transit), environment="dev")


def test_an_event_is_signed_by_a_function_of_its_own_and_no_secret_goes_that_way(
    registry: Registry,
    signing: Signing,
    sqs: Any,
    events_url: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    hook(registry, events=[("REGISTERED_MODEL", "CREATED")])
    registry.models.create("acme", "bert", by="ana")
    registry.outbox.deliver()
    records = received(sqs, events_url)
    sent: list[dict[str, Any]] = []

    def sender(**request: Any) -> Delivered:
        sent.append(request)
        return Delivered(status=200)

    aws = Lambda(signing)
    deliveries = Deliveries(
        signer=ByFunction(aws, "anfl-dev-webhook-signer"),  # type: ignore[arg-type]
        resolver=lambda _: [PUBLIC],
        sender=sender,
        clock=lambda: 5000.0,
    )
    outside = Webhooks(registry.records.table)
    function = Function(outside, deliveries, queue_url=events_url, sqs=sqs)
    assert function.answer({"Records": records}) == {"batchItemFailures": []}
    (request,) = sent
    headers = request["headers"]
    asked = ToSign(
        tenant="acme",
        webhook_id="",
        delivery=headers["X-MLflow-Delivery-Id"],
        timestamp="5000",
        body=request["body"].decode(),
    )
    assert headers["X-MLflow-Signature"] == by_hand(asked)
    said = capsys.readouterr()
    everything = [*aws.told, json.dumps(records), str(sent), said.out, said.err, caplog.text]
    assert not [text for text in everything if CANARY in text]
    assert '"Operation": "sign"' in said.out


def test_what_cannot_be_signed_is_not_sent_and_comes_again(
    registry: Registry, signing: Signing, transit: FakeTransit, sqs: Any, events_url: str
) -> None:
    hook(registry, events=[("REGISTERED_MODEL", "CREATED")])
    registry.models.create("acme", "bert", by="ana")
    registry.outbox.deliver()
    transit.away = True

    def never(**_: Any) -> Delivered:
        raise AssertionError("sent")

    deliveries = Deliveries(
        signer=ByFunction(Lambda(signing), "anfl-dev-webhook-signer"),  # type: ignore[arg-type]
        resolver=lambda _: [PUBLIC],
        sender=never,
    )
    function = Function(Webhooks(registry.records.table), deliveries, queue_url=events_url, sqs=sqs)
    records = received(sqs, events_url)
    assert len(function.answer({"Records": records})["batchItemFailures"]) == 1
    assert received(sqs, events_url) == [], "not at once"


def test_a_function_that_fails_or_refuses_gives_no_signature() -> None:
    class Fails:
        def __init__(self, **answer: Any) -> None:
            self.answer = answer

        def invoke(self, **_: Any) -> dict[str, Any]:
            return self.answer

    made = Webhook(id="w", name="h", url=URL, events=(), secret="x", created_at=0, updated_at=0)
    died = Fails(FunctionError="Unhandled", Payload=io.BytesIO(b'{"errorType": "Sandbox.Timedout"}'))
    refuses = Fails(Payload=io.BytesIO(b'{"status": 503, "problem": {"code": "key_unavailable"}}'))
    for client, reason in ((died, "Timedout"), (refuses, "key_unavailable")):
        with pytest.raises(SigningError, match=reason):
            ByFunction(client, "f").sign(ASKED, made)  # type: ignore[arg-type]
    assert not issubclass(SigningError, NotTakenError)


def answered(signing: Signing, **event: Any) -> dict[str, Any]:
    return signing.answer(event, Invocation(seconds=50))


def test_the_function_signs_for_a_webhook_of_the_tenant_that_has_a_secret(registry: Registry, signing: Signing) -> None:
    made, bare = hook(registry), hook(registry, secret=None)
    asked = {"operation": "sign"} | msgspec.to_builtins(ASKED)
    assert answered(signing, **asked | {"webhook_id": made.id})["result"] == {"signature": by_hand(ASKED)}
    for refused in ({"webhook_id": bare.id}, {"webhook_id": made.id, "tenant": "other"}, {"webhook_id": "absent"}):
        assert answered(signing, **asked | refused)["status"] == 404
    assert answered(signing, operation="sign", tenant="acme")["status"] == 400
    assert answered(signing, operation="tell")["status"] == 400


def test_a_schedule_moves_keys_and_says_how_many_are_behind(
    registry: Registry, signing: Signing, transit: FakeTransit, capsys: pytest.CaptureFixture[str]
) -> None:
    hook(registry)
    old = from_before(registry)
    transit.version = 2
    capsys.readouterr()
    result = answered(signing, operation="rewrap_due")["result"]
    assert (result["active"], result["moved"], result["remaining"], result["sealed"]) == (2, 1, 0, 0)
    assert '"WrappedKeysBehind": 0.0' in capsys.readouterr().out
    assert registry.webhooks.get("acme", old.id).secret == CANARY, "the command's work"
    assert answered(signing, operation="rewrap_keys")["result"]["sealed"] == 1
    assert answered(signing, operation="rewrap_keys", after="nonsense")["status"] == 400


def test_what_signs_writes_where_it_may_and_who_delivers_reads_webhooks_alone(
    registry: Registry, signing: Signing, transit: FakeTransit, dynamodb: Any
) -> None:
    hook(registry)
    old = from_before(registry)
    transit.version = 2
    named, read = set[str](), set[str]()

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        writes = [next(iter(action.values())) for action in params.get("TransactItems", [])]
        writes += [params] if model.name == "PutItem" else []
        named.update((write.get("Item") or write["Key"])["pk"]["S"] for write in writes)
        read.update([params["Key"]["pk"]["S"]] if model.name == "GetItem" else [])

    dynamodb.meta.events.register("before-parameter-build.dynamodb", note, unique_id="note")
    try:
        assert answered(signing, operation="rewrap_keys")["result"]["sealed"] == 1
        read.clear()
        Webhooks(registry.records.table).get("acme", old.id)
    finally:
        dynamodb.meta.events.unregister("before-parameter-build.dynamodb", unique_id="note")
    fitting = {one: {pattern for pattern in SECRET_WRITES if fnmatchcase(one, pattern)} for one in named}
    assert set[str]().union(*fitting.values()) == {*SECRET_WRITES}
    assert all(fitting.values()), fitting
    assert [one for one in read if not fnmatchcase(one, RegistryPartition.WEBHOOKS)] == []
    assert read


def test_elsewhere_than_at_home_keys_are_moved_and_nothing_is_sealed(
    registry: Registry, signing: Signing, transit: FakeTransit
) -> None:
    """Sealing changes a webhook and the tenant's audit; a key that two regions move is the same one."""
    hook(registry)
    old = from_before(registry)
    audited = len(registry.trails.of_tenant("acme").entries)
    transit.version = 2
    signing.written_in = Home(region="us-east-1", here="eu-west-1")
    result = answered(signing, operation="rewrap_keys")["result"]
    assert (result["moved"], result["sealed"], result["after"]) == (1, 0, None)
    assert registry.webhooks.get("acme", old.id) == old
    assert len(registry.trails.of_tenant("acme").entries) == audited
    signing.written_in = Home(region="us-east-1", here="us-east-1")
    assert answered(signing, operation="rewrap_keys")["result"]["sealed"] == 1


def test_a_table_altered_by_hand_makes_no_function_sign_by_it(
    registry: Registry, signing: Signing, dynamodb: Any
) -> None:
    """Who may write the table puts one webhook's secret into another."""
    one, other = hook(registry), hook(registry, secret="another")
    with past_the_registry(dynamodb):
        dynamodb.update_item(
            TableName=TABLE,
            Key={name: {"S": value} for name, value in keys.webhook("acme", other.id).items()},
            UpdateExpression="SET secret = :s",
            ExpressionAttributeValues={":s": {"S": one.secret}},
        )
    asked = {"operation": "sign"} | msgspec.to_builtins(ASKED) | {"webhook_id": other.id}
    refused = answered(signing, **asked)
    assert (refused["status"], refused["problem"]["code"]) == (503, "secret_damaged")
