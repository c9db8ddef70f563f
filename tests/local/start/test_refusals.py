"""What keeps ``anfl up`` from starting is told in one line."""

import subprocess
from pathlib import Path

from tests.local.end_to_end.running import cli


def refused(state: Path, *options: str) -> str:
    command = cli(state, "up", "--no-sample", *options)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said
    assert "unexpected" not in said
    assert len(said.splitlines()) == 1, said
    return said


def test_a_port_beyond_the_last(tmp_path: Path) -> None:
    said = refused(tmp_path / "state", "--port", "65534", "--regions", "all")
    assert "65536" in said
    assert "--port" in said


def test_a_state_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    for state in (tmp_path / "a-file" / "state", Path("/proc/absent/state")):
        assert str(state) in refused(state)
