"""Several nodes, one of which comes, dies for good or starts again while others write and read."""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import httpx
import psutil
import pytest

from anfl.vectors.catalogue import Catalogue
from anfl.vectors.log import Log
from anfl.vectors.objects import S3ObjectStore
from local.environment import free_ports
from tests.local.end_to_end import running
from tests.local.end_to_end.permissions import Permissions
from tests.local.end_to_end.running import Run
from tests.local.end_to_end.traffic import DIMENSION, Traffic, judge
from tests.local.end_to_end.unsealing import envelopes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

NODES = 3
COLLECTIONS = 16
"""Enough for each node to own some, and others not."""
STEP = 60
"""Answers between one event and the next."""
PATIENCE = 120.0
HANGING_SECONDS = 2.0


@dataclass(kw_only=True)
class Nodes:
    """The vector store's tasks of a run, and one that a test adds."""

    run: Run
    folder: Path
    added: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def addresses(self) -> list[str]:
        """Of all that there are or were."""
        services = self.run.document["services"]
        return [*(url for name, url in services.items() if name.startswith("vector-store")), *self.added]

    def living(self) -> list[str]:
        """Of those that there are, or that are about to start again."""
        return [address for address in self.addresses() if address not in self.gone]

    def environment(self) -> dict[str, str]:
        """What a task of the service is told."""
        return psutil.Process(self.run.current()["pids"]["vector-store"]).environ()

    def add(self) -> str:
        """One more, as scaling out makes it."""
        [port] = free_ports(1)
        own = {"PORT": str(port), "PROMETHEUS_MULTIPROC_DIR": str(self.folder / "metrics")}
        command = [*psutil.Process(self.run.current()["pids"]["vector-store"]).cmdline()]
        with (self.folder / "added.log").open("wb") as log:
            process = subprocess.Popen(
                command, env=self.environment() | own, stdout=log, stderr=log, start_new_session=True
            )
        address = f"http://127.0.0.1:{port}"
        wait(lambda: httpx.get(f"{address}/health/ready", trust_env=False).is_success, "the added node")
        self.added[address] = process
        return address

    def wait_until_seen(self, count: int) -> None:
        """Until each node sees so many."""
        for address in self.living():
            wait(partial(self._sees, address, count), f"{count} nodes at {address}")

    def session(self) -> boto3.session.Session:
        """Of the service's role."""
        environment = self.environment()
        return boto3.session.Session(
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=environment["AWS_SESSION_TOKEN"],
            region_name=environment["AWS_REGION"],
        )

    def table(self) -> "Table":
        """The catalogue's."""
        endpoint = self.run.document["aws_endpoint"]
        name = self.environment()["CATALOGUE_TABLE"]
        return self.session().resource("dynamodb", endpoint_url=endpoint).Table(name)

    def log(self, name: str) -> Log:
        """Of a collection."""
        s3 = self.session().client("s3", endpoint_url=self.run.document["aws_endpoint"])
        objects = S3ObjectStore(s3, self.environment()["VECTORS_BUCKET"])
        collection = Catalogue(self.table()).get(self.run.document["tenant"], name)
        return Log(objects, collection, envelope=envelopes(self.run, objects).of(collection))

    @staticmethod
    def _sees(address: str, count: int) -> bool:
        return figure(address, "anfl_nodes") == count


def figure(address: str, name: str) -> float:
    """The sum of the figures whose name, with or without labels, ``name`` matches."""
    text = httpx.get(f"{address}/metrics", trust_env=False, timeout=30).text
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


def wait(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if holds():
                return
        time.sleep(0.1)
    raise AssertionError(f"not within {PATIENCE:.0f} s: {what}")


def kill(pid: int) -> None:
    """The whole node at once, once it has not answered for a moment: what others have sent it is lost."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in family:
        process.suspend()
    time.sleep(HANGING_SECONDS)
    for process in family:
        process.kill()


@pytest.fixture(name="nodes", scope="module")
def _nodes(tmp_path_factory: pytest.TempPathFactory, permissions: Permissions) -> Iterator[Nodes]:
    folder = tmp_path_factory.mktemp("nodes")
    run = running.start(folder, "--nodes", str(NODES), "--no-sample", "--tls")
    permissions.follow(run)
    nodes = Nodes(run=run, folder=folder)
    try:
        yield nodes
    finally:
        for process in nodes.added.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        running.end(run)


def test_where_the_gateway_serves_tls_nothing_before_1_3_gets_in(nodes: Nodes) -> None:
    run = nodes.run
    told = subprocess.run(running.cli(run.state, "status", "--json"), capture_output=True, text=True, check=False)
    assert {program["state"] for program in json.loads(told.stdout)["programs"]} == {"serving"}
    context = ssl.create_default_context(cafile=run.document["ca"])
    plain = socket.create_connection(("127.0.0.1", run.port))
    with context.wrap_socket(plain, server_hostname="localhost") as secured:
        assert secured.version() == "TLSv1.3"
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", run.port)) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="localhost")


def test_nothing_is_lost_and_nothing_is_wrong_while_nodes_come_and_die(nodes: Nodes) -> None:
    names = [f"words-{number}" for number in range(COLLECTIONS)]
    with nodes.run.client("writer") as client:
        for name in names:
            made = client.post("/v1/collections", json={"name": name, "dimension": DIMENSION, "metric": "l2"})
            assert made.status_code == 201, made.text
    nodes.wait_until_seen(NODES)
    traffic = Traffic(names, nodes=nodes.addresses, token=nodes.run.document["tokens"]["writer"])
    traffic.start(writers=4, readers=3)

    def go_on() -> None:
        """Until the traffic has got through for a while, whatever has just happened."""
        goal = traffic.progress() + STEP
        wait(lambda: traffic.progress() >= goal or bool(traffic.failures), f"{STEP} more answers")
        assert not traffic.failures, traffic.failures

    try:
        go_on()
        added = nodes.add()
        nodes.wait_until_seen(NODES + 1)
        go_on()
        assert figure(added, "anfl_forwards_total") > 0
        kill(nodes.added[added].pid)  # for good
        nodes.gone.add(added)
        go_on()
        assert sum(figure(each, 'anfl_forwards_total{outcome="(?:unreachable|lost)"}') for each in nodes.living()) > 0
        nodes.wait_until_seen(NODES)
        go_on()
        kill(nodes.run.current()["pids"]["vector-store-2"])  # the supervisor starts it again
        go_on()
        nodes.wait_until_seen(NODES)
        go_on()
    finally:
        traffic.stop()
    assert not traffic.failures, traffic.failures

    headers = {"authorization": f"Bearer {nodes.run.current()['tokens']['writer']}"}
    with httpx.Client(headers=headers, trust_env=False, timeout=40) as client:
        for name in names:
            content = judge(traffic, nodes.log(name))
            held = {row_id: (row.version, dict(row.metadata)) for row_id, row in content.items()}
            for address in nodes.living():
                exported = f"{address}/v1/collections/{name}/export"
                answer = client.get(exported, params={"consistency": "strong", "include": "metadata"})
                rows = [json.loads(line) for line in answer.text.splitlines()]
                assert {row["id"]: (row["version"], row["metadata"]) for row in rows} == held, (address, name)


def test_a_node_that_is_asked_to_stop_leaves_before_the_others_miss_it(nodes: Nodes) -> None:
    nodes.wait_until_seen(NODES)
    added = nodes.add()
    nodes.wait_until_seen(NODES + 1)
    nodes.added[added].terminate()
    nodes.gone.add(added)
    assert nodes.added[added].wait(60) == 0
    key = {"pk": f"N#{nodes.run.document['region']}", "sk": f"N#{added.removeprefix('http://')}"}
    assert "Item" not in nodes.table().get_item(Key=key, ConsistentRead=True)
    nodes.wait_until_seen(NODES)
