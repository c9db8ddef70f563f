"""Bodies that nobody should send are the sender's mistake, whatever is in them: never ours."""

import base64
import json
import os
import random
from typing import Any

import pytest

from anfl.auth.identity_request import signed
from anfl.auth.principal import Role, new_login
from anfl.auth.vault_setup import VaultSetup
from tests.unit.auth.conftest import ENVIRONMENT
from tests.unit.auth.functions import Handler, event, issue, load

SEED = int(os.environ.get("SEED") or random.randrange(2**32))
ROUNDS = 400
STRANGE: tuple[Any, ...] = (
    *("", " ", "\x00", "\ufeff", "\u202e", "demo.reader\n", "DEMO.READER", "../x", "a" * 300, "%00", "demo/x", "İ"),
    *(0, -1, 2**70, 1.5, True, None, [], {}, [[]], {"": ""}, ["x"] * 50),
)
RAW = (
    *("{", "[]", "null", "0", '"x"', "{}" * 2, "[" * 5000, '{"grant": "approle"' + ", " * 9, "\x00", "\ufeff{}", "nan"),
    *(
        '{"token_id": "\\ud800"}',
        '{"grant": "\\ud800"}',
        '{"grant": "approle", "role_id": "\\udfff", "secret_id": "x"}',
    ),
    *('{"token_id": "x", "token_id": null}', '{"grant": "refresh", "token": "a.b.c", "grant": "approle"}'),
)


@pytest.mark.usefixtures("auth_role")
def test_no_body_is_answered_as_if_it_were_our_fault(
    ready: VaultSetup,
    settings_environment: None,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKEN_THROTTLE_BURST", "100000")
    auth: Handler = load("auth").handler
    client = ready.ensure_client("boss", tenant="demo", roles=[Role.ADMIN])
    token = issue(auth, client)
    good: list[tuple[str, dict[str, Any]]] = [
        ("/v1/auth/token", {"grant": "approle", "role_id": client.role_id, "secret_id": client.secret_id}),
        ("/v1/auth/token", {"grant": "aws_iam", "client": "demo.boss", **signed(ENVIRONMENT)}),
        ("/v1/auth/token", {"grant": "refresh", "token": token}),
        ("/v1/auth/token", {"grant": "oidc", "token": token}),
        ("/v1/auth/revoke", {"token_id": new_login()}),
    ]
    draw = random.Random(SEED)
    asked = [event("POST", path, raw=raw, token=token) for path in ("/v1/auth/token", "/v1/auth/revoke") for raw in RAW]
    for _ in range(ROUNDS):
        path, body = draw.choice(good)
        body = dict(body)
        for _ in range(draw.randint(1, 2)):
            place = draw.choice([*body, "other"])
            if draw.random() < 0.2:
                body.pop(place, None)
            else:
                body[place] = draw.choice(STRANGE)
        text = json.dumps(body)
        made = event("POST", path, raw=text, token=token)
        if draw.random() < 0.2:
            made |= {"body": base64.b64encode(text.encode()).decode(), "isBase64Encoded": True}
        asked.append(made)
    asked += [event("POST", "/v1/auth/revoke", token=token) | {"body": "%%%", "isBase64Encoded": True}]
    for each in asked:
        answer = auth(each, None)
        assert answer["statusCode"] in {200, 400, 401, 403, 413, 429}, (SEED, each, answer)
        if answer["statusCode"] != 200:
            assert json.loads(answer["body"])["code"]
