"""``python -m local.gateway``: the gateway of one region as a process."""

import argparse
import itertools
import json
from pathlib import Path

from anfl import start
from local.gateway.app import Gateway
from local.gateway.declared import RestApi, build_api
from local.guard import require_loopback
from local.resolved import Resources, fetch
from local.serving import serve


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m local.gateway", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--aws", required=True, type=require_loopback, help="endpoint of the embedded AWS")
    parser.add_argument("--region", required=True)
    parser.add_argument("--services", required=True, type=json.loads, help="JSON: container name -> base URLs")
    parser.add_argument("--tls", type=Path, help="folder of the authority that vouches for the gateway; TLS 1.3 alone")
    options = parser.parse_args()
    for address in itertools.chain.from_iterable(options.services.values()):
        require_loopback(address)
    start.begin()

    def load() -> RestApi:
        return build_api(Resources(fetch(options.aws), region=options.region), options.services)

    serve(Gateway(load, endpoint=options.aws), name=f"gateway-{options.region}", port=options.port, tls=options.tls)


if __name__ == "__main__":
    main()
