"""``python -m local.registry``: the registry's service on loopback, over an embedded AWS in this process.

Prints ``{"url": …}`` once it answers, and serves until its standard input is closed; a line ``{"time": 1234}`` there
stops its clock, ``{"time": null}`` lets it run again. A bearer token is ``<tenant>.<role>``, so every test can have a
tenant, and with it an empty registry, of its own.
"""

import argparse
import json
import os
import socket
import sys
import threading
from collections.abc import Mapping

import boto3
import uvicorn

from anfl.auth.principal import Principal, Role
from anfl.problems import Problem
from anfl.registry import sources
from anfl.registry.clock import now
from anfl.registry.registry import build_registry
from anfl.start import settle
from local.aws import moto_patches
from local.aws.server import listen
from local.tables import create_table
from services.model_registry.app import assemble

TABLE, BUCKET = "registry", "artifacts"
ANYWHERE = "192.88.99.1"
"""Stands for every host of a webhook, as no test may look names up. (A retired anycast address: nobody answers.)"""


class TenantInToken:
    """Takes ``<tenant>.<role>`` for a token."""

    def cached(self, token: str) -> Principal | None:
        """The principal that the token spells; None where it is no such token."""
        tenant, dot, role = token.partition(".")
        if not dot or role not in set(Role):
            return None
        return Principal(subject=token, tenant=tenant, roles=frozenset({Role(role)}), token_id=token, expires_at=2**40)

    def verify(self, token: str) -> Principal:
        """Refuse what `cached` did not take."""
        raise Problem(401, "token_malformed", f"{token} is no token")


class Clock:
    """A clock that can be stopped; milliseconds since the epoch."""

    def __init__(self) -> None:
        self.stopped_at: int | None = None

    def __call__(self) -> int:
        """The time."""
        return now() if self.stopped_at is None else self.stopped_at


def any_source(source: str, *, tags: Mapping[str, str]) -> None:
    """Refuse nothing: MLflow's tests of its *store* name sources that its server never lets through."""


def _no_function(
    _region: str, name: str, _payload: bytes, _headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    raise LookupError(f"there is no function {name}")


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(prog="python -m local.registry", description=__doc__)
    parser.add_argument("--any-source", action="store_true", help="take local paths as sources of versions")
    options = parser.parse_args()
    settle()
    moto_patches.apply(invoke=_no_function, control="")
    aws = listen(0)
    threading.Thread(target=aws.serve_forever, daemon=True).start()
    session = boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")  # noqa: S106
    endpoint = f"http://127.0.0.1:{aws.server_port}"
    dynamodb = session.client("dynamodb", endpoint_url=endpoint)
    s3 = session.client("s3", endpoint_url=endpoint)
    create_table(dynamodb, TABLE)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    clock = Clock()
    service = assemble(
        build_registry(
            table=TABLE, dynamodb=dynamodb, bucket=BUCKET, s3=s3, resolver=lambda _host: [ANYWHERE], clock=clock
        ),
        verifier=TenantInToken(),
        check_source=any_source if options.any_source else sources.check_source,
    )
    server = uvicorn.Server(uvicorn.Config(service, log_level="warning", lifespan="on"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
        print(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)  # noqa: T201
        for line in sys.stdin:
            clock.stopped_at = json.loads(line)["time"]
            print("{}", flush=True)  # noqa: T201
    os._exit(0)  # connections that clients keep open would hold its threads


if __name__ == "__main__":
    main()
