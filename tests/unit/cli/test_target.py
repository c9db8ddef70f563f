"""Where a command goes, and with which token."""

import json
import os
import stat
from pathlib import Path

import pytest

from anfl.cli.errors import CliError
from anfl.cli.target import credentials_file, forget_token, resolve, save_token

API = "http://127.0.0.1:8000"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("ANFL_ENDPOINT", raising=False)
    monkeypatch.delenv("ANFL_TOKEN", raising=False)
    monkeypatch.delenv("ANFL_CA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(name="local_run")
def _local_run(tmp_path: Path) -> None:
    folder = tmp_path / ".anfl"
    folder.mkdir()
    tokens = {"reader": "r", "admin": "a"}
    services = {"vector-store": "http://127.0.0.1:1", "model-registry": "http://127.0.0.1:2"}
    document = {"api": API, "tokens": tokens, "services": services, "vault": "http://127.0.0.1:3"}
    (folder / "local.json").write_text(json.dumps(document))


def test_without_anything_the_message_says_how_to_start() -> None:
    with pytest.raises(CliError, match="make run"):
        resolve(None, None)


@pytest.mark.usefixtures("local_run")
def test_a_local_run_is_found_from_a_folder_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    target = resolve(None, None, role="reader")
    assert (target.endpoint, target.token, target.ingest) == (API, "r", "http://127.0.0.1:2")


@pytest.mark.usefixtures("local_run")
def test_the_authority_of_a_local_run_is_trusted_there_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / ".anfl" / "local.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"ca": "/somewhere/ca.pem"}))
    assert resolve(None, None).ca == "/somewhere/ca.pem"
    assert resolve("https://api.example.org", None).ca is None
    monkeypatch.setenv("ANFL_CA", "mine.pem")
    assert resolve(None, None).ca == "mine.pem"


@pytest.mark.usefixtures("local_run")
@pytest.mark.parametrize(
    "away",
    [
        {"api": "https://api.example.org"},
        {"services": {"model-registry": "https://other.example.org"}},
        {"services": {"model-registry": "http://127.0.0.1@other.example.org"}},
        {"services": {"model-registry": "127.0.0.1"}},
    ],
)
def test_what_somebody_left_in_a_folder_above_leads_no_token_away(away: dict[str, object], tmp_path: Path) -> None:
    """Whoever may write to a folder above could name the endpoint of a login, and a host of their own beside it."""
    place = tmp_path / ".anfl" / "local.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | away))
    for endpoint in (None, "https://api.example.org"):
        with pytest.raises(CliError, match="leads away from this machine"):
            resolve(endpoint, "token")


@pytest.mark.usefixtures("local_run")
def test_what_another_user_left_in_a_folder_above_is_no_local_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that several write to, ``/tmp`` perhaps: a login there would go to whatever they listen with."""
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    with pytest.raises(CliError, match=r"No endpoint: .* belongs to another user"):
        resolve(None, "token")
    assert resolve("https://api.example.org", "token").endpoint == "https://api.example.org"


@pytest.mark.usefixtures("local_run")
def test_a_link_to_a_state_is_no_local_run(tmp_path: Path) -> None:
    """Whoever makes one in a folder above chooses which of ours a command takes."""
    place = tmp_path / ".anfl" / "local.json"
    place.rename(tmp_path / "earlier.json")
    place.symlink_to(tmp_path / "earlier.json")
    with pytest.raises(CliError, match=r"No endpoint: .* is a link"):
        resolve(None, "token")


def test_a_pipe_in_place_of_a_state_keeps_nobody_waiting(tmp_path: Path) -> None:
    (tmp_path / ".anfl").mkdir()
    os.mkfifo(tmp_path / ".anfl" / "local.json")
    with pytest.raises(CliError, match=r"No endpoint: .* is no file"):
        resolve(None, "token")


@pytest.mark.usefixtures("local_run")
def test_the_owner_is_that_of_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file may have the name a moment after somebody looked at it."""
    place, true_open = tmp_path / ".anfl" / "local.json", os.open

    def swapped(path: Path, *arguments: int) -> int:
        descriptor = true_open(path, *arguments)
        if Path(path) == place:
            place.unlink()
            place.write_text('{"api": "http://127.0.0.1:9"}')
        return descriptor

    monkeypatch.setattr(os, "open", swapped)
    assert resolve(None, "token").endpoint == API


@pytest.mark.usefixtures("local_run")
def test_an_unknown_role_names_those_that_exist() -> None:
    with pytest.raises(CliError, match="admin, reader"):
        resolve(None, None, role="king")


@pytest.mark.usefixtures("local_run")
def test_a_local_token_goes_nowhere_else() -> None:
    assert resolve("https://api.example.org", None).token is None


@pytest.mark.usefixtures("local_run")
def test_options_win_over_variables_over_the_local_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANFL_ENDPOINT", "https://variable.example")
    monkeypatch.setenv("ANFL_TOKEN", "variable")
    assert resolve(None, None).endpoint == "https://variable.example"
    target = resolve("https://option.example/", "option")
    assert (target.endpoint, target.token) == ("https://option.example", "option")


def test_a_saved_token_is_private_and_bound_to_its_endpoint() -> None:
    for name, token in (("one", "1"), ("two", "2")):
        save_token(resolve(f"https://{name}.example", None), token, lifetime=60)
    assert stat.S_IMODE(credentials_file().stat().st_mode) == 0o600
    assert resolve("https://one.example", None).token == "1"
    assert resolve("https://three.example", None).token is None


def test_a_damaged_state_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / ".anfl").mkdir()
    (tmp_path / ".anfl" / "local.json").write_text("{")
    with pytest.raises(CliError, match="anfl down"):
        resolve(None, None)


@pytest.mark.usefixtures("local_run")
def test_a_login_to_the_local_run_wins_over_its_administrator() -> None:
    save_token(resolve(None, None), "mine", lifetime=60)
    assert resolve(None, None).token == "mine"
    assert resolve(None, None, role="reader").token == "r"
    assert resolve("http://localhost:8000", None, role="reader").token == "r"


@pytest.mark.usefixtures("local_run")
def test_a_login_to_the_local_run_counts_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_token(resolve(None, None), "mine", lifetime=60)
    monkeypatch.chdir(tmp_path.parent)
    assert resolve(API, None).token == "mine"


@pytest.mark.usefixtures("local_run")
def test_a_login_ends_with_its_token_and_with_the_run(tmp_path: Path) -> None:
    save_token(resolve(None, None), "old", lifetime=-1)
    assert resolve(None, None).token == "a"
    save_token(resolve(None, None), "mine", lifetime=60)
    state = tmp_path / ".anfl" / "local.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"vault": "http://127.0.0.1:4"}))
    assert resolve(None, None).token == "a"


@pytest.mark.parametrize("content", ["{", "[]", '{"https://one.example": "1"}'])
def test_damaged_credentials_say_what_to_do(content: str) -> None:
    credentials_file().parent.mkdir(parents=True)
    credentials_file().write_text(content)
    with pytest.raises(CliError, match="log in again"):
        resolve("https://one.example", None)


def test_a_token_that_is_revoked_is_forgotten_and_no_other() -> None:
    other = resolve("https://other.example.org", None)
    save_token(other, "kept", lifetime=60)
    save_token(resolve(API, None), "old", lifetime=60)

    forget_token(resolve(API, "somebody-else's"))
    assert resolve(API, None).token == "old"
    forget_token(resolve(API, None))

    assert resolve(API, None).token is None
    assert resolve(other.endpoint, None).token == "kept"
