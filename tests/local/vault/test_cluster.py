"""What the development Vault shares with a cluster on AWS: opening by itself, audit devices, autopilot."""

import threading
from collections.abc import Iterator

import hvac
import pytest

from local.vault.build import build
from local.vault.http import serve


@pytest.fixture
def empty() -> Iterator[hvac.Client]:
    server = serve(build(auto_unseal=True))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield hvac.Client(url=f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    server.server_close()


def test_initialised_it_opens_by_itself_and_tells_recovery_keys(empty: hvac.Client) -> None:
    assert empty.sys.read_health_status().status_code == 501
    told = empty.adapter.put("/v1/sys/init", json={"recovery_shares": 3, "recovery_threshold": 2})

    assert (told["keys"], len(told["recovery_keys_base64"])) == ([], 3)
    status = empty.sys.read_seal_status()
    assert (status["type"], status["sealed"], status["recovery_seal"]) == ("awskms", False, True)


def test_it_takes_no_shares_of_another_seal(empty: hvac.Client) -> None:
    with pytest.raises(hvac.exceptions.InvalidRequest, match="not applicable to seal type awskms"):
        empty.adapter.put("/v1/sys/init", json={"secret_shares": 1, "secret_threshold": 1})


def test_audit_devices(root: hvac.Client) -> None:
    root.sys.enable_audit_device("file", path="mine", options={"file_path": "/var/log/x"})
    with pytest.raises(hvac.exceptions.InvalidRequest, match="already in use"):
        root.sys.enable_audit_device("file", path="mine")
    with pytest.raises(hvac.exceptions.InvalidRequest, match="unknown backend type"):
        root.sys.enable_audit_device("pigeon")
    assert root.sys.list_enabled_audit_devices()["data"]["mine/"]["options"] == {"file_path": "/var/log/x"}

    root.sys.disable_audit_device("mine")
    assert root.sys.list_enabled_audit_devices()["data"] == {}


def test_autopilot(root: hvac.Client) -> None:
    path = "/v1/sys/storage/raft/autopilot/configuration"
    root.adapter.post(path, json={"cleanup_dead_servers": True, "nonsense": 1})

    found = root.adapter.get(path)["data"]
    assert found["cleanup_dead_servers"] is True
    assert "nonsense" not in found
