"""The command line of the `vault` binary as far as test suites written for it need: ``-version``, ``server -config=F``.

The server starts empty and sealed, as the real one does with new storage. The configuration is JSON, or HCL.
"""

import json
import signal
import ssl
import sys
import threading
from pathlib import Path
from typing import Any

import hcl2

from anfl import start
from local.vault.build import build
from local.vault.http import serve
from local.vault.system import VERSION

_HCL = hcl2.SerializationOptions(with_comments=False, strip_string_quotes=True, explicit_blocks=False)


def main(arguments: list[str]) -> int:
    """Run one command; 2 for anything else than the two known ones."""
    match arguments:
        case ["-version" | "--version" | "version"]:
            print(f"Vault v{VERSION} (development stand-in)")  # noqa: T201
            return 0
        case ["server", option] if option.startswith("-config="):
            _serve(_configuration(Path(option.removeprefix("-config="))))
            return 0
    print("usage: vault -version | vault server -config=FILE", file=sys.stderr)  # noqa: T201
    return 2


def _configuration(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    found: dict[str, Any] = (
        json.loads(text) if text.lstrip().startswith("{") else hcl2.loads(text, serialization_options=_HCL)
    )
    return found


def _serve(configuration: dict[str, Any]) -> None:
    start.begin()
    listener = _only(configuration["listener"])["tcp"]
    tcp = _only(listener)
    host, _, port = str(tcp["address"]).rpartition(":")
    server = serve(build(), host=host, port=int(port))
    if "tls_cert_file" in tcp:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tcp["tls_cert_file"], tcp["tls_key_file"])
        # The handshake is left to the connection's own thread: a silent client must not stop the others.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    with server:
        server.serve_forever(poll_interval=0.1)


def _only(found: Any) -> Any:  # noqa: ANN401 - JSON
    """HCL blocks come as lists."""
    return found[0] if isinstance(found, list) else found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
