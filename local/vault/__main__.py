"""``python -m local.vault --port P``: the development server, open and in memory, until SIGTERM or Ctrl-C."""

import argparse
import os
import signal
import sys
import threading

from anfl import start
from local.vault.build import build_open
from local.vault.http import serve

ROOT_TOKEN_VARIABLE = "VAULT_DEV_ROOT_TOKEN_ID"  # noqa: S105 - the name of a variable


def main() -> int:
    """Run until told to stop; 2 where something is missing to start."""
    parser = argparse.ArgumentParser(prog="python -m local.vault", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="TCP port on 127.0.0.1")
    parser.add_argument("--sts-endpoint", help="where signed GetCallerIdentity requests are replayed (loopback)")
    options = parser.parse_args()
    start.begin()
    root_token = os.environ.get(ROOT_TOKEN_VARIABLE)
    if not root_token:
        print(f"set {ROOT_TOKEN_VARIABLE} to the root token that this server shall accept", file=sys.stderr)  # noqa: T201
        return 2
    server = serve(build_open(root_token=root_token, sts_endpoint=options.sts_endpoint), port=options.port)
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for serve_forever, which this very thread runs.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    with server:
        server.serve_forever(poll_interval=0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
