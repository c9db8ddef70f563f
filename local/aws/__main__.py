"""``python -m local.aws --port P --log FILE --addresses JSON``: the embedded AWS on loopback."""

import argparse
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

import msgspec

from local.environment import isolate

isolate()  # before moto is imported, because that looks for the user's AWS profile

from moto.core.models import DEFAULT_ACCOUNT_ID  # noqa: E402
from moto.sts.models import sts_backends  # noqa: E402

from anfl.start import settle  # noqa: E402
from local.addresses import AddressBook  # noqa: E402
from local.aws import moto_patches  # noqa: E402
from local.aws.functions import Functions  # noqa: E402
from local.aws.queues import QueuePollers  # noqa: E402
from local.aws.schedules import Schedules  # noqa: E402
from local.aws.server import CONTROL, Application, listen  # noqa: E402
from local.guard import NotLoopbackError  # noqa: E402
from local.iam import workflows  # noqa: E402
from local.iam.credentials import SESSION_SECONDS, environment  # noqa: E402
from local.iam.guard import Guard  # noqa: E402
from local.iam.ledger import Ledger  # noqa: E402

CACHE = Path(__file__).resolve().parents[2] / ".anfl" / "functions"


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m local.aws", description="The embedded AWS, on 127.0.0.1.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True, help="log of the function invocations")
    parser.add_argument("--addresses", default="{}", help='JSON: {"declared address": "loopback address"}')
    parser.add_argument("--caches", default="{}", help='JSON: {"region": port on which its cache is served}')
    parser.add_argument("--trust", type=Path, help="certificates that functions trust")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where function bundles are extracted")
    parser.add_argument(
        "--minute", type=float, help="run schedules, whose minutes last so many seconds; without it none runs"
    )
    arguments = parser.parse_args()
    try:
        addresses = AddressBook.decode(arguments.addresses)
    except (msgspec.MsgspecError, NotLoopbackError) as error:
        parser.error(f"--addresses: {error}")
    logging.basicConfig(level="WARNING", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    endpoint = f"http://127.0.0.1:{arguments.port}"
    trusted = {} if arguments.trust is None else {"SSL_CERT_FILE": str(arguments.trust)}
    functions = Functions(
        cache=arguments.cache,
        log=arguments.log.resolve(),
        addresses=addresses,
        role_environment=lambda role, region, session: trusted | _assume(endpoint, role, region, session),
    )
    settle()
    workflows.apply(endpoint)
    moto_patches.apply(invoke=functions.api, control=f"{endpoint}{CONTROL}", caches=json.loads(arguments.caches))
    guard = Guard(Application(), ledger=Ledger(arguments.log.resolve().with_name("permissions.jsonl")))
    server = listen(arguments.port, guard)
    pollers = QueuePollers(functions, may_poll=guard.may_poll)
    schedules = Schedules(functions, minute=arguments.minute) if arguments.minute else None

    def stop(*_: object) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.serve_forever()
    pollers.close()
    if schedules:
        schedules.close()
    functions.close()
    sys.stdout.flush()
    os._exit(0)  # threads that wait for messages or handlers end with us


def _assume(endpoint: str, role: str, region: str, session: str) -> dict[str, str]:
    """What `local.iam.credentials.role_environment` gives, without a request to ourselves."""
    sts = sts_backends[DEFAULT_ACCOUNT_ID]["aws"]
    made = sts.assume_role(region, session, role, policy="", duration=SESSION_SECONDS, external_id="")
    return environment(endpoint, region, made.access_key_id, made.secret_access_key, made.session_token)


if __name__ == "__main__":
    main()
