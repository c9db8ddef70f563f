"""Whatever is sent, the server answers as Vault would: with an error of the caller's, never one of its own."""

import random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from local.vault.api import Operation, Route, VaultError
from local.vault.build import build_open
from local.vault.core import Core
from local.vault.transit_transfer import KeyTransfer

ROOT_TOKEN = "root-of-this-test"
FIELDS = """
type path config options default_lease_ttl policy policies paths token accessor increment ttl period num_uses
meta explicit_max_ttl display_name id key reset secret_shares secret_threshold role_id secret_id metadata
token_policies token_ttl token_max_ttl token_type bind_secret_id secret_id_accessor jwt role role_type
user_claim bound_audiences bound_claims claim_mappings clock_skew_leeway jwt_validation_pubkeys bound_issuer
auth_type bound_iam_principal_arn iam_http_request_method iam_request_url iam_request_body iam_request_headers
sts_endpoint plaintext ciphertext context associated_data key_version batch_input input signature
hash_algorithm bits derived marshaling_algorithm min_decryption_version min_encryption_version
auto_rotate_period convergent_encryption min_available_version hash_function allow_rotation exportable
""".split()  # noqa: SIM905 - a list of words reads better so
VALUES: tuple[Any, ...] = (
    None,
    "",
    "x",
    "eA==",
    "vault:v1:eA==",
    "transit",
    "jwt",
    "batch",
    "ecdsa-p256",
    "POST",
    'path "a" { capabilities = ["read"] }',
    'path = "a"',
    'path "a" { allowed_parameters = ["x"] }',
    'path "a" { capabilities = "read" }',
    'path "a" { capabilities = [["read"]] }',
    "-1",
    "1h",
    "9" * 30,
    "\x00\ud800",
    0,
    -1,
    1,
    10**30,
    1.5,
    float("inf"),
    float("nan"),
    True,
    [],
    [None],
    ["x"],
    [1, {"plaintext": "eA=="}],
    [{"plaintext": "eA=="}],
    [{"plaintext": 1}],
    [{"ciphertext": "vault:v1:", "context": []}],
    {},
    {"a": None},
    {"type": []},
    {"x": ["y"], "z": {"z": 1}},
)
ANSWERED_500 = {"keys/{name}/import", "keys/{name}/import_version", "keys/{name}/rotate"}
"""Where Vault itself says so of a caller's mistake."""
NAMES = ("x", "jwt", "default", "../x", "", "a b", "ü", "x/y", "%00", "*", "+")


@pytest.fixture(scope="module")
def wrapping_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=4096)


@pytest.fixture
def core(wrapping_key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch) -> Core:
    monkeypatch.setattr(KeyTransfer, "_wrapping_key", wrapping_key)  # making one takes a moment
    core = build_open(root_token=ROOT_TOKEN)
    for path in ("mounts/transit", "auth/approle", "auth/jwt", "auth/aws"):
        core.handle(Operation.UPDATE, f"sys/{path}", {"type": path.split("/")[1]}, ROOT_TOKEN)
    return core


def requested(route: Route, chance: random.Random) -> str:
    path = route.path
    while "{" in path:
        placeholder = path[path.index("{") : path.index("}") + 1]
        path = path.replace(placeholder, chance.choice(NAMES), 1)
    return path


@pytest.mark.parametrize("seed", range(25))
def test_no_request_is_an_error_of_the_server(core: Core, seed: int) -> None:
    chance = random.Random(seed)
    routes = [(mount.path, route) for mount in core.mounts.values() for route in mount.backend.routes]
    answered, statuses = 0, set[int]()
    for _ in range(400):
        prefix, route = chance.choice(routes)
        if route.path in {"seal", "revoke-self"} or "{path" in route.path:
            continue  # these end the test early
        path = prefix + requested(route, chance)
        data = {name: chance.choice(VALUES) for name in chance.sample(FIELDS, chance.randrange(len(FIELDS)))}
        operation = chance.choice([*route.operations, *Operation])
        token = None if route.public else ROOT_TOKEN
        try:
            core.handle(operation, path, data, token)
        except VaultError as error:
            if error.status != 500 or route.path not in ANSWERED_500:
                statuses.add(error.status)
        answered += 1
    assert answered > 200
    assert statuses <= {400, 403, 404, 405}
