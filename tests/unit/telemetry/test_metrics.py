"""What a service shows of itself to Prometheus."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from prometheus_client.parser import text_string_to_metric_families

from anfl import aws
from anfl.telemetry import stores
from anfl.telemetry.metrics import Metrics
from anfl.telemetry.usage import Usage
from anfl.telemetry.vectors import VectorMetrics
from anfl.vectors.events import Holdings, Turn

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
FORKS = """
import os, sys
from anfl.telemetry import metrics
metrics.forget()
mine = metrics.Metrics()

def work(times):
    for _ in range(times):
        mine.began()
        mine.answered(route="/v1/collections", method="GET", status=200, seconds=0.02)
    mine.began()

children = []
for times in (3, 4):
    child = os.fork()
    if not child:
        work(times)
        os._exit(0)
    children.append(child)
work(1)
for child in children:
    os.waitpid(child, 0)
    metrics.ended(child)
sys.stdout.buffer.write(mine.exposition())
"""


WORKERS = """
import os, signal, sys, time
from anfl.processes import Parent, Process
from anfl.telemetry import logs, metrics
from anfl.telemetry.vectors import VectorMetrics
from anfl.vectors.events import Holdings, Turn

mine = metrics.Metrics()
events = VectorMetrics(mine)

def hold(rows):
    events.holds(Holdings(collections=1, rows=rows, segments=2, unmerged_rows=rows, most_unmerged_rows=rows,
                          memory_bytes=rows, memory_limit_bytes=1000, stuck_logs=0))

def worker():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    hold(30)
    mine.began()
    time.sleep(60)

def once():
    marker = sys.argv[1] + "/died"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if not os.path.exists(marker):
        open(marker, "w").close()
        hold(500)
        mine.began()
        events.turned(Turn.FAILED)
        events.damaged(repaired=True)
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdout.buffer.write(mine.exposition())
    sys.stdout.flush()
    os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(60)

Parent(processes=[Process(name="worker", target=worker), Process(name="once", target=once)],
       grace_seconds=5, on_end=metrics.ended).run()
"""


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_requests_are_counted_by_template_method_and_class_of_status() -> None:
    metrics = Metrics()
    for status in (200, 204, 404):
        metrics.began()
        metrics.answered(route="/v1/collections/{name}", method="GET", status=status, seconds=0.3)
    found = samples(metrics.exposition().decode())
    where = {"route": "/v1/collections/{name}", "method": "GET"}
    assert value(found, "anfl_requests_total", **where, status="2xx") == 2
    assert value(found, "anfl_requests_total", **where, status="4xx") == 1
    assert value(found, "anfl_request_seconds_bucket", **where, le="0.25") == 0
    assert value(found, "anfl_request_seconds_bucket", **where, le="0.5") == 3
    assert value(found, "anfl_requests_running") == 0


def test_methods_that_callers_make_up_share_one_label() -> None:
    metrics = Metrics()
    for number in range(5):
        metrics.began()
        metrics.answered(route="unknown", method=f"BREW{number}", status=404, seconds=0)
    found = samples(metrics.exposition().decode())
    assert value(found, "anfl_requests_total", route="unknown", method="other", status="4xx") == 5


def test_processes_of_a_service_answer_for_one_another(tmp_path: Path) -> None:
    (tmp_path / "counter_1.db").write_bytes(b"of an earlier start")
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", FORKS], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    found = samples(done.stdout)
    where = {"route": "/v1/collections", "method": "GET"}
    assert value(found, "anfl_requests_total", **where, status="2xx") == 8
    assert value(found, "anfl_request_seconds_count", **where) == 8
    assert value(found, "anfl_requests_running") == 1, "what the ended processes had at work is not"
    assert value(found, "anfl_cpu_cores") >= 1


def test_a_worker_that_was_killed_holds_nothing_any_more_and_what_it_counted_stays(tmp_path: Path) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    command = [sys.executable, "-c", WORKERS, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    found = samples(done.stdout)
    assert value(found, "anfl_rows") == 30, "of the worker that has most"
    assert value(found, "anfl_requests_running") == 1
    assert value(found, "anfl_builder_turns_total", outcome="failed") == 1
    assert value(found, "anfl_damaged_objects_total", outcome="repaired") == 1


def test_what_a_store_holds_is_shown() -> None:
    metrics = Metrics()
    events = VectorMetrics(metrics)
    found = samples(metrics.exposition().decode())
    assert value(found, "anfl_builder_turns_total", outcome="failed") == 0, "so that the first one is an increase"
    assert value(found, "anfl_damaged_objects_total", outcome="lost") == 0
    events.holds(
        Holdings(
            collections=2,
            rows=7,
            segments=3,
            unmerged_rows=5,
            most_unmerged_rows=4,
            memory_bytes=100,
            memory_limit_bytes=200,
            stuck_logs=1,
        )
    )
    events.turned(Turn.FAILED)
    events.damaged(repaired=False)
    found = samples(metrics.exposition().decode())
    names = ("collections", "rows", "segments", "unmerged_rows", "most_unmerged_rows")
    assert [value(found, f"anfl_{name}") for name in names] == [2, 7, 3, 5, 4]
    assert (value(found, "anfl_vectors_memory_bytes"), value(found, "anfl_vectors_memory_limit_bytes")) == (100, 200)
    assert value(found, "anfl_stuck_logs") == 1
    assert value(found, "anfl_builder_turns_total", outcome="failed") == 1
    assert value(found, "anfl_damaged_objects_total", outcome="lost") == 1


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.session.Session]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.session.Session(region_name="us-west-1")


def test_calls_of_stores_are_counted_by_what_came_of_them(session: boto3.session.Session) -> None:
    metrics = Metrics()
    s3 = stores.watch(session, metrics).client("s3", region_name="us-west-1")
    s3.create_bucket(Bucket="vectors", CreateBucketConfiguration={"LocationConstraint": "us-west-1"})
    s3.put_object(Bucket="vectors", Key="k", Body=b"x", IfNoneMatch="*")
    with pytest.raises(ClientError):
        s3.put_object(Bucket="vectors", Key="k", Body=b"x", IfNoneMatch="*")
    found = samples(metrics.exposition().decode())
    put = {"store": "s3", "operation": "PutObject"}
    assert value(found, "anfl_store_calls_total", **put, outcome="ok") == 1
    assert value(found, "anfl_store_calls_total", **put, outcome="refused") == 1
    assert value(found, "anfl_store_call_seconds_count", store="s3") == 3


def test_a_store_that_does_not_answer_is_counted_as_failed() -> None:
    metrics = Metrics()
    session = boto3.session.Session(aws_access_key_id="testing", aws_secret_access_key="testing")
    sqs = stores.watch(session, metrics).client(
        "sqs",
        region_name="us-west-1",
        endpoint_url="http://127.0.0.1:1",
        config=aws.config(retries={"total_max_attempts": 1}),
    )
    with pytest.raises(Exception, match="Could not connect"):
        sqs.list_queues()
    found = samples(metrics.exposition().decode())
    assert value(found, "anfl_store_calls_total", store="sqs", operation="ListQueues", outcome="failed") == 1


def usage(folder: Path, **files: str) -> Samples:
    from prometheus_client import CollectorRegistry, generate_latest

    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    registry = CollectorRegistry()
    registry.register(Usage(cgroup=folder))
    return samples(generate_latest(registry).decode())


def test_usage_is_the_containers_own(tmp_path: Path) -> None:
    found = usage(
        tmp_path,
        cpu_stat="usage_usec 2500000\nuser_usec 1\n",
        cpu_max="50000 100000\n",
        memory_current="3000\n",
        memory_stat="anon 1900\ninactive_file 1000\n",
        memory_max="8000\n",
    )
    assert value(found, "anfl_cpu_seconds_total") == 2.5
    assert value(found, "anfl_cpu_cores") == 0.5
    assert value(found, "anfl_memory_bytes") == 2000, "caches of files can go"
    assert value(found, "anfl_memory_limit_bytes") == 8000


def test_outside_a_container_it_is_the_processs_share_of_the_machine(tmp_path: Path) -> None:
    found = usage(tmp_path, cpu_stat="usage_usec 999999999999\n")
    assert value(found, "anfl_cpu_seconds_total") < 9999
    assert value(found, "anfl_cpu_cores") == os.cpu_count()
    assert 0 < value(found, "anfl_memory_bytes") < value(found, "anfl_memory_limit_bytes")
