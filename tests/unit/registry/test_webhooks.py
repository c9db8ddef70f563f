"""Webhooks: what they may look like, where their requests may go, and that only their tenant sees them."""

import base64
import dataclasses
import hashlib
import hmac
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from anfl.problems import Problem
from anfl.registry import audit, webhook_rules
from anfl.registry.deliveries import Delivered, Deliveries
from anfl.registry.registry import Registry
from anfl.registry.webhooks import Webhook, Webhooks
from services.model_registry.app import assemble
from tests.unit.crypto.wrapping import FakeTransit
from tests.unit.registry.conftest import PUBLIC
from tests.unit.registry.test_models import refused
from tests.unit.registry.test_protocol import Caller, TenantInToken

URL = "https://hooks.example.com:8443/a?b=c"
EVENT = ("MODEL_VERSION", "CREATED")
PATH = "/api/2.0/mlflow/webhooks"
WIRE_EVENT = {"entity": "MODEL_VERSION", "action": "CREATED"}


@pytest.fixture(name="webhooks")
def _webhooks(registry: Registry) -> Webhooks:
    return Webhooks(registry.records.table, resolver=lambda _: [PUBLIC])


@pytest.fixture(name="webhooks_call")
def _webhooks_call(registry: Registry, webhooks: Webhooks) -> Caller:
    def nobody(**_: Any) -> Delivered:
        raise urllib3.exceptions.ConnectTimeoutError

    deliveries = Deliveries(resolver=lambda _: [PUBLIC], sender=nobody)
    parts = dataclasses.replace(registry, webhooks=webhooks, deliveries=deliveries)
    return Caller(assemble(parts, verifier=TenantInToken()))


def create(webhooks: Webhooks, tenant: str = "acme", **more: Any) -> Webhook:
    return webhooks.create(tenant, **({"name": "hook", "url": URL, "events": [EVENT]} | more), by="ana")


def test_a_webhook_is_read_as_it_was_made(webhooks: Webhooks) -> None:
    made = create(webhooks, description="d", secret="s", status="DISABLED")
    assert webhooks.get("acme", made.id) == made
    assert (made.events, made.status, made.secret) == (("MODEL_VERSION.CREATED",), "DISABLED", "s")


def test_changes_leave_what_they_do_not_name_and_are_later(webhooks: Webhooks) -> None:
    made = create(webhooks, description="d", secret="s")
    changed = webhooks.update("acme", made.id, name="other", secret="t", by="ana")
    assert (changed.name, changed.secret, changed.url, changed.description) == ("other", "t", URL, "d")
    assert changed.updated_at > made.updated_at
    assert webhooks.get("acme", made.id) == changed


def test_of_those_who_come_together_no_more_are_made_than_may_be(
    webhooks: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anfl.registry.webhooks.MAX_WEBHOOKS", 3)

    def attempt(_: int) -> bool:
        try:
            create(webhooks)
        except Problem:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(attempt, range(8))) == 3
    assert len(webhooks.all("acme")) == 3


def test_another_tenants_webhook_does_not_exist(webhooks: Webhooks) -> None:
    made = create(webhooks)
    changes = (partial(webhooks.update, by="ana"), partial(webhooks.delete, by="ana"))
    for call in (webhooks.get, *changes):
        assert refused("resource_does_not_exist", call, "other", made.id) == f"Webhook with ID {made.id} not found."
    assert webhooks.all("other") == []
    webhooks.delete("acme", made.id, by="ana")
    assert webhooks.all("acme") == []


def test_a_tenant_has_so_many_at_most(webhooks: Webhooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anfl.registry.webhooks.MAX_WEBHOOKS", 2)
    create(webhooks)
    create(webhooks)
    assert "At most 2" in refused("invalid_parameter_value", create, webhooks)


def test_no_secret_is_sealed_for_a_webhook_that_is_one_too_many(
    registry: Registry, transit: FakeTransit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anfl.registry.webhooks.MAX_WEBHOOKS", 0)
    refused("invalid_parameter_value", create, registry.webhooks, secret="s")
    assert transit.calls == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "-a"}, "is invalid"),
        ({"name": "a" * 64}, "is invalid"),
        ({"name": ""}, "Missing value for required parameter 'name'"),
        ({"url": " "}, "Webhook URL cannot be empty or just whitespace"),
        ({"url": ""}, "Missing value for required parameter 'url'. Webhook URL cannot be empty or just whitespace: ''"),
        ({"url": "http://hooks.example.com"}, "Invalid webhook URL scheme: 'http'. Allowed schemes are: https."),
        ({"url": "https://"}, "Webhook URL must include a hostname"),
        ({"url": "https://[x"}, "Invalid webhook URL 'https://[x': ValueError('Invalid IPv6 URL')"),
        ({"url": "https://a:99999/"}, "Invalid webhook URL"),
        ({"url": "https://me@a/"}, "without a user name"),
        ({"url": "https://a/\nHost: b"}, "Invalid webhook URL"),
        ({"url": "https://a/" + "x" * 3000}, "more than"),
        ({"events": []}, "Missing value for required parameter 'events'. Webhook events must be a non-empty list"),
        ({"events": [("MODEL", "CREATED")]}, "Invalid entity 'MODEL'"),
        (
            {"events": [("MODEL_VERSION", "SET")]},
            "Invalid action 'set' for entity 'model_version'. Valid actions are: ['created']",
        ),
        ({"status": "OFF"}, "Invalid webhook status 'OFF'"),
        ({"secret": "x" * 1001}, "'secret' exceeds the maximum length"),
    ],
)
def test_impossible_webhooks_are_refused(webhooks: Webhooks, change: dict[str, Any], message: str) -> None:
    assert message in refused("invalid_parameter_value", create, webhooks, **change)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104
        "224.0.0.1",
        "::1",
        "fd00:ec2::254",
        "fe80::1",
        "::ffff:10.0.0.1",
        "2002:0a00:0001::",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::10.0.0.1",
        "::10.0.0.1",
        "::ffff:0:10.0.0.1",
        "::ffff:224.0.0.1",
        "2001::10.0.0.1",
        "fec0::1",
        "3fff::1",
        "2001:4860::1%eth0",
        "fe80::1%eth0",
        "nonsense",
    ],
)
def test_no_request_goes_to_a_private_address(webhooks: Webhooks, registry: Registry, address: str) -> None:
    made = create(webhooks)
    inside = Webhooks(registry.records.table, resolver=lambda _: [PUBLIC, address])
    assert "non-public IP address" in refused("invalid_parameter_value", create, inside)
    assert "non-public IP address" in refused(
        "invalid_parameter_value", inside.update, "acme", made.id, url=URL, by="ana"
    )

    def never(**_: Any) -> Delivered:
        raise AssertionError("sent")

    sent = Deliveries(resolver=lambda _: [address], sender=never).test("acme", made)
    assert not sent.success
    assert "non-public IP address" in (sent.error or "")


def test_a_name_that_means_nothing_is_refused(registry: Registry) -> None:
    def unknown(_host: str) -> list[str]:
        raise OSError("unknown")

    webhooks = Webhooks(registry.records.table, resolver=unknown)
    assert "Cannot resolve webhook URL hostname 'hooks.example.com'" in refused(
        "invalid_parameter_value", create, webhooks
    )


def test_a_delivery_is_signed_and_goes_to_the_address_that_was_checked(webhooks: Webhooks) -> None:
    sent: dict[str, Any] = {}

    def sender(**request: Any) -> Delivered:
        sent.update(request)
        return Delivered(status=204)

    made = create(webhooks, secret="s3cret")
    deliveries = Deliveries(resolver=lambda _: [PUBLIC], sender=sender, clock=lambda: 1234.5)
    assert deliveries.test("acme", made).success
    assert (sent["address"], sent["host"], sent["port"], sent["target"]) == (
        PUBLIC,
        "hooks.example.com",
        8443,
        "/a?b=c",
    )
    headers = sent["headers"]
    signed = f"{headers['X-MLflow-Delivery-Id']}.1234.".encode() + sent["body"]
    expected = base64.b64encode(hmac.new(b"s3cret", signed, hashlib.sha256).digest()).decode()
    assert headers["X-MLflow-Signature"] == f"v1,{expected}"
    assert headers["Host"] == "hooks.example.com:8443"
    body = json.loads(sent["body"])
    assert (body["entity"], body["action"], body["data"]["name"]) == ("model_version", "created", "example_model")


def test_a_receiver_that_does_not_answer_is_a_result_not_an_error(webhooks: Webhooks) -> None:
    def sender(**_: Any) -> Delivered:
        raise urllib3.exceptions.ConnectTimeoutError

    result = Deliveries(resolver=lambda _: [PUBLIC], sender=sender).test("acme", create(webhooks))
    assert (result.success, result.error) == (False, "No answer: ConnectTimeoutError")


@given(st.text(max_size=80) | st.from_regex(r"https://[a-z\[\]:@%./0-9\\]{0,30}", fullmatch=True))
def test_every_url_is_taken_or_refused(text: str) -> None:
    try:
        webhook_rules.url(text)
    except Problem as problem:
        if problem.status != 400:
            raise


def test_the_protocol(webhooks_call: Caller) -> None:
    call = webhooks_call
    body = {"name": "hook", "url": URL, "events": [WIRE_EVENT], "secret": "s", "description": "d"}
    made = call("POST", PATH, body).json()["webhook"]
    assert made["creation_timestamp"] == made["last_updated_timestamp"]
    assert {"name": "hook", "url": URL, "events": [WIRE_EVENT], "status": "ACTIVE"}.items() <= made.items()
    assert "secret" not in made
    one = f"{PATH}/{made['webhook_id']}"
    assert call("GET", one).json() == {"webhook": made}
    assert call("PATCH", one, {"status": "DISABLED"}).json()["webhook"]["status"] == "DISABLED"
    tested = call("POST", f"{one}/test", {"event": WIRE_EVENT}).json()["result"]
    assert tested == {"success": False, "error_message": "Failed to test webhook: No answer: ConnectTimeoutError"}
    assert call("DELETE", one, {}).json() == {}
    gone = call("GET", one)
    assert (gone.status_code, gone.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    for role in ("reader", "writer"):
        assert call("GET", PATH, token=f"acme.{role}").status_code == 403


def test_an_update_leaves_what_it_names_without_a_value(webhooks_call: Caller) -> None:
    """MLflow's messages cannot tell an empty list from none; its server takes empty texts for absent ones too.

    But for the name: MLflow's tests of its store want an empty one refused.
    """
    made = webhooks_call("POST", PATH, {"name": "h", "url": URL, "events": [WIRE_EVENT], "description": "d"}).json()
    one = f"{PATH}/{made['webhook']['webhook_id']}"
    empty = {"url": "", "events": [], "description": "", "secret": "", "status": ""}
    changed = webhooks_call("PATCH", one, empty).json()
    moment = {"last_updated_timestamp": changed["webhook"]["last_updated_timestamp"]}
    assert changed["webhook"] == made["webhook"] | moment
    assert "Webhook name '' is invalid" in webhooks_call("PATCH", one, {"name": ""}).json()["message"]


@pytest.mark.parametrize("absent", ["name", "url", "events"])
def test_what_a_webhook_needs(webhooks_call: Caller, absent: str) -> None:
    given = {"name": "h", "url": URL, "events": [WIRE_EVENT]}
    for body in ({**given, absent: None}, {name: value for name, value in given.items() if name != absent}):
        answer = webhooks_call("POST", PATH, body).json()
        assert answer["error_code"] == "INVALID_PARAMETER_VALUE"
        assert answer["message"].startswith(f"Missing value for required parameter '{absent}'.")


def test_lists_come_in_pages(webhooks_call: Caller) -> None:
    for number in range(5):
        webhooks_call("POST", PATH, {"name": f"h{number}", "url": URL, "events": [WIRE_EVENT]})
    seen: list[str] = []
    token = ""
    while True:
        page = webhooks_call("GET", PATH, params={"max_results": 2, "page_token": token}).json()
        seen += [webhook["name"] for webhook in page["webhooks"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert sorted(seen) == [f"h{number}" for number in range(5)]
    for query in ("max_results=0", "max_results=1001", "page_token=evilhax", "page_token=e30="):
        assert webhooks_call("GET", f"{PATH}?{query}").json()["error_code"] == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("events", ["x", [1], [{}], [{"entity": "MODEL_VERSION"}], {"entity": 1}])
def test_events_of_a_wrong_form_are_refused(webhooks_call: Caller, events: object) -> None:
    answer = webhooks_call("POST", PATH, {"name": "h", "url": URL, "events": events})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_what_webhooks_cost(webhooks: Webhooks, calls: Counter[str]) -> None:
    made = create(webhooks)
    assert calls == {"Query": 1, "BatchGetItem": 1, "TransactWriteItems": 1}
    calls.clear()
    webhooks.get("acme", made.id)
    assert calls == {"GetItem": 1}
    calls.clear()
    webhooks.update("acme", made.id, name="x", by="ana")
    assert calls == {"BatchGetItem": 1, "TransactWriteItems": 1}
    calls.clear()
    webhooks.delete("acme", made.id, by="ana")
    assert calls == {"BatchGetItem": 1, "TransactWriteItems": 1}


def test_the_audit_tells_of_webhooks_but_neither_address_nor_secret(registry: Registry, webhooks: Webhooks) -> None:
    made = create(webhooks, secret="s3cret")
    webhooks.update("acme", made.id, secret="other", by="ben")
    webhooks.delete("acme", made.id, by="cid")
    page = registry.trails.of_tenant("acme")
    assert [(entry.by, entry.action) for entry in page.entries] == [
        ("ana", "webhook.created"),
        ("ben", "webhook.updated"),
        ("cid", "webhook.deleted"),
    ]
    assert page.entries[1].after["secret_changed"] is True
    assert page.entries[0].after["host"] == "hooks.example.com"
    assert not any(hidden in str(page.entries) for hidden in ("s3cret", "other", "a?b=c"))
    assert audit.verify(page.chain, page.entries, page.head) is None
