"""What a mistake at the terminal looks like: one line or one JSON document, and an exit code; never a traceback."""

import io
import json
from pathlib import Path, PurePosixPath

import httpx
import pytest

from anfl.cli.downloads import Remote, Source, fetch, not_passed
from anfl.cli.errors import CliError, ExitCode, advice_of
from anfl.cli.main import main

NOWHERE = "http://127.0.0.1:1"
"""Nothing may be asked there: each of these mistakes is found before a request is sent, or while it is made."""


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("ANFL_ENDPOINT", "ANFL_TOKEN", "ANFL_ROLE_ID", "ANFL_SECRET_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\n")
    (tmp_path / "lists.jsonl").write_text("[1]\n")
    (tmp_path / "rows.jsonl").write_text('{"id": "a"}\n')
    (tmp_path / "bad.npy").write_bytes(b"no array")
    (tmp_path / "empty.npy").write_bytes(b"")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["anfl", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    code = ended.value.code
    return code if isinstance(code, int) else 0


HERE = ("--endpoint", NOWHERE)
WRONG = [
    ("collections", "create", "x", "--dimension", "many", *HERE),
    ("collections", "create", "x", *HERE),
    ("collections", "create", "x", "--dimension", "2", "--fields", "{", *HERE),
    ("collections", "create", "x", "--dimension", "2", "--fields", "[" * 100_000, *HERE),
    ("collections", "list", "--endpoint", "nonsense"),
    ("collections", "list", "--endpoint", "ftp://x"),
    ("collections", "list", "--endpoint", "http://[::1"),
    ("collections", "list", "--token", "é", *HERE),
    ("collections", "list", "--token", "a\nb", *HERE),
    ("vectors", "upsert", "c", "absent.jsonl", *HERE),
    ("vectors", "upsert", "c", "binary", *HERE),
    ("vectors", "upsert", "c", "lists.jsonl", *HERE),
    ("vectors", "upsert", "c", "rows.jsonl", "--values", "bad.npy", *HERE),
    ("vectors", "upsert", "c", "rows.jsonl", "--values", "empty.npy", *HERE),
    ("vectors", "query", "c", *HERE),
    ("vectors", "query", "c", "--id", "\udcff", *HERE),
    ("vectors", "query", "c", "--vector", "[NaN]", *HERE),
    ("vectors", "query", "c", "--vector", "[1e999]", *HERE),
    ("vectors", "query", "c", "--vector", "@absent", *HERE),
    ("vectors", "query", "c", "--vector", "@binary", *HERE),
    ("vectors", "query", "c", "--vector", "@bad.npy", *HERE),
    ("models", "register", "m", "absent", *HERE),
    ("models", "inspect", "absent"),
    ("invoke", "nobody", "{}"),
    ("invoke", "auth", "{"),
    ("invoke", "auth", "[]"),
    ("invoke", "auth", "@binary"),
    ("cleanup", "--env", "prod"),
    ("cleanup", "--failed"),
    ("cleanup", "--failed", "--env", "staging", "--dry-run"),
    ("cleanup", "--failed", "--env", "prod", "--region", "eu-north-1", "--dry-run"),
    ("destroy",),
    ("destroy", "--env", "staging"),
    ("regions", "remove", "us-west-1"),
    ("regions", "remove", "us-west-1", "--env", "staging"),
    ("regions", "remove", "eu-north-1", "--env", "prod"),
    ("regions", "remove", "us-west-1", "--env", "prod", "--drain-seconds", "-1"),
    ("nonsense",),
]


@pytest.mark.parametrize("arguments", WRONG, ids=lambda arguments: " ".join(arguments)[:60])
def test_wrong_usage_is_told_in_both_forms(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert run(monkeypatch, *arguments) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.strip()
    assert run(monkeypatch, *arguments, "--json") == ExitCode.USAGE
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "usage"
    assert error["detail"]


def test_names_are_one_segment_of_the_path(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("../auth/whoami", "a?b", "a#b", "a\nb", "é"):
        assert run(monkeypatch, "collections", "show", name, *HERE, "--json") == ExitCode.UNREACHABLE
        assert "error" in json.loads(capsys.readouterr().out)


def test_an_endpoint_without_a_program_gets_advice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(".anfl").mkdir()
    Path(".anfl/local.json").write_text(
        json.dumps(
            {"api": NOWHERE, "vault": NOWHERE, "tokens": {"admin": "a"}, "services": {"model-registry": NOWHERE}}
        )
    )
    assert run(monkeypatch, "collections", "list") == ExitCode.UNREACHABLE
    assert "anfl status" in capsys.readouterr().err


def test_where_nobody_answers_it_is_said_why_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    what = f"GET /v1/collections at {NOWHERE}: the connection was refused: nothing listens there."
    advice = "Check the address, and whether the service runs."
    assert run(monkeypatch, "collections", "list", *HERE) == ExitCode.UNREACHABLE
    assert capsys.readouterr().err.split() == f"anfl: {what} {advice}".split()
    assert run(monkeypatch, "collections", "list", *HERE, "--json") == ExitCode.UNREACHABLE
    assert json.loads(capsys.readouterr().out)["error"] == {"code": "unreachable", "detail": what, "advice": advice}


def test_so_it_is_of_what_goes_to_or_comes_from_the_object_store(tmp_path: Path) -> None:
    told = not_passed("weights could not be sent", httpx.WriteError("[Errno 32] Broken pipe"))
    assert str(told) == "weights could not be sent: the connection was dropped before all of the answer had come."
    assert advice_of(told).startswith("Try again")
    file = Remote(place="m/1/weights", relative=PurePosixPath("weights"), size=1)
    with pytest.raises(CliError, match="m/1/weights did not arrive whole: the connection was refused"):
        fetch(file, tmp_path, source=Source(url=NOWHERE, token=None), received=lambda _: None)


def test_how_to_go_on_is_told_in_both_forms(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``watch`` asks first, and nobody answers: the import goes on, and it is said how to come back to it."""
    arguments = ("imports", "watch", "0" * 32, *HERE)
    go_on = f"Import {'0' * 32} goes on by itself. Watch it with: anfl imports watch {'0' * 32}"
    assert run(monkeypatch, *arguments) == ExitCode.UNREACHABLE
    assert go_on in capsys.readouterr().err.replace("\n", " ")
    assert run(monkeypatch, *arguments, "--json") == ExitCode.UNREACHABLE
    assert json.loads(capsys.readouterr().out)["error"]["advice"].endswith(go_on)


def test_a_question_goes_to_the_terminal_not_into_the_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    for arguments in (("collections", "delete", "c"), ("login",)):
        assert run(monkeypatch, *arguments, *HERE, "--json") == ExitCode.FAILED
        shown = capsys.readouterr()
        assert json.loads(shown.out)["error"]["code"] == "failed"
        assert "Traceback" not in shown.err
