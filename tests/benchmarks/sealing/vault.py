"""A development Vault for one node, and the node's environment with it."""

import json
import threading
import time
from contextlib import ExitStack
from dataclasses import replace

import hvac

from anfl.auth.names import DATA_KEY
from anfl.auth.table import AuthTable
from anfl.auth.vault import StaticToken, VaultClient
from anfl.auth.vault_setup import VaultSetup
from anfl.crypto.wrapping_versions import WrappingVersions
from anfl.resources import Service
from local.vault.build import build_open
from local.vault.http import serve
from tests.benchmarks.http.node import ENVIRONMENT, NAMES, REGION, Aws

_ROOT = "root"


def vault_for(storage: Aws, exits: ExitStack, *, seals: bool) -> Aws:
    """``storage`` for a node that logs in to a Vault of its own, which has the wrapping key."""
    server = serve(build_open(root_token=_ROOT))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    exits.callback(server.server_close)
    exits.callback(server.shutdown)
    address = f"http://127.0.0.1:{server.server_address[1]}"
    iam = storage.session.client("iam", endpoint_url=storage.endpoint)
    sts = storage.session.client("sts", endpoint_url=storage.endpoint)
    role = iam.create_role(RoleName=Service.VECTOR_STORE, AssumeRolePolicyDocument=json.dumps({}))["Role"]["Arn"]
    keys = sts.assume_role(RoleArn=role, RoleSessionName="node")["Credentials"]
    dynamodb = storage.session.client("dynamodb", endpoint_url=storage.endpoint)
    vault = VaultClient(address=address, credentials=StaticToken(_ROOT))
    table = AuthTable(name=NAMES["AUTH_TABLE"], client=dynamodb)
    published = table.published_keys()
    VaultSetup(
        vault,
        environment=ENVIRONMENT,
        region=REGION,
        auth_table=table,
        issuer="https://bench",
        audience="bench",
        sts_endpoint=storage.endpoint,
    ).reconcile(iam_roles={Service.VECTOR_STORE: role})
    for key in published:  # the benchmark's own, which no Vault has
        table.publish(key)
    vault.attempt(_make_key)
    WrappingVersions(table=NAMES["AUTH_TABLE"], client=dynamodb).activate(1, now=int(time.time()))
    own = {
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
        "VAULT_ADDR": address,
        "SEALING": str(seals).lower(),
    }
    return replace(storage, environment={**storage.environment, **own})


def _make_key(client: hvac.Client) -> None:
    client.secrets.transit.create_key(name=DATA_KEY, key_type="aes256-gcm96", derived=True)
