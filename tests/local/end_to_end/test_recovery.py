"""What was acknowledged survives the death of the process that acknowledged it."""

import os
import signal
import threading
import time
import uuid

import httpx

from tests.local.end_to_end.running import Run

RESTART_SECONDS = 60


def test_no_acknowledged_write_is_lost_when_the_service_is_killed(run: Run) -> None:
    name = f"killed-{uuid.uuid4().hex[:8]}"
    victim = run.current()["pids"]["vector-store"]
    acknowledged: list[str] = []
    stop = threading.Event()

    def write() -> None:
        number = 0
        with run.client("writer") as client:
            while not stop.is_set():
                number += 1
                body = {"vectors": [{"id": f"v{number}", "values": [float(number), 1.0]}]}
                try:
                    response = client.put(f"/v1/collections/{name}/vectors", json=body)
                except httpx.TransportError:
                    continue
                if response.status_code == 200:
                    acknowledged.append(f"v{number}")

    with run.client("writer") as client:
        created = client.post("/v1/collections", json={"name": name, "dimension": 2, "metric": "l2"})
        assert created.status_code == 201, created.text
        writer = threading.Thread(target=write)
        writer.start()
        try:
            _until(lambda: len(acknowledged) >= 20)
            os.kill(victim, signal.SIGKILL)
            before = len(acknowledged)
            _until(lambda: len(acknowledged) >= before + 20)
        finally:
            stop.set()
            writer.join()
        fetched = client.post(f"/v1/collections/{name}/vectors/fetch", json={"ids": acknowledged[:1000]})

    assert fetched.status_code == 200, fetched.text
    missing = [identifier for identifier in acknowledged[:1000] if f'"{identifier}"' not in fetched.text]
    assert missing == []
    _until(lambda: run.current()["pids"]["vector-store"] != victim)  # it is told once it serves


def _until(condition: "object") -> None:
    assert callable(condition)
    deadline = time.monotonic() + RESTART_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)
