"""``anfl models sign`` and ``verify`` where something is wrong: what is said, in words of ours."""

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from anfl.cli.errors import CliError
from anfl.cli.main import app

LIBRARYS = ("Digest(", "pydantic", "codec", "column", "indices", "Error", "Errno")
"""Words that no person should have to read."""


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(name="keys", scope="module")
def _keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs ``ours``, ``other``, and of kinds that do not sign."""
    folder = tmp_path_factory.mktemp("keys")
    for name, curve in {"ours": "prime256v1", "other": "secp384r1", "curve": "secp256k1"}.items():
        openssl("ecparam", "-name", curve, "-genkey", "-noout", "-out", folder / f"{name}.pem")
        openssl("ec", "-in", folder / f"{name}.pem", "-pubout", "-out", folder / f"{name}.pub")
    openssl("genrsa", "-out", folder / "rsa.pem", "2048")
    openssl("rsa", "-in", folder / "rsa.pem", "-pubout", "-out", folder / "rsa.pub")
    openssl("ec", "-in", folder / "ours.pem", "-aes256", "-passout", "pass:x", "-out", folder / "locked.pem")
    (folder / "none.pem").write_bytes(b"\xff")
    (folder / "none.pub").write_bytes(b"\xff")
    return folder


@pytest.fixture(name="model")
def _model(tmp_path: Path) -> Path:
    model = tmp_path / "model"
    model.mkdir()
    for name in ("a", "b"):
        (model / name).write_text(name)
    return model


@pytest.fixture(name="signed")
def _signed(model: Path, keys: Path) -> Path:
    """The model; its signature lies beside it."""
    assert run("sign", model, keys / "ours.pem").exit_code == 0
    return model


def run(command: str, model: Path, key: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["models", command, str(model), "--key", str(key), *options])


def said(result: Result) -> str:
    assert result.exit_code != 0
    assert result.exception is None or isinstance(result.exception, (CliError, SystemExit)), result.exception
    text = f"{result.output} {result.exception or ''}"
    assert not [word for word in LIBRARYS if word in text], text
    return text


@pytest.mark.parametrize("key", ["rsa.pem", "curve.pem", "locked.pem", "none.pem", "ours.pub"])
def test_a_key_that_cannot_sign_is_said_to_be_none_and_how_to_make_one(model: Path, keys: Path, key: str) -> None:
    text = said(run("sign", model, keys / key))
    assert f"{key} is no private key that can sign" in text
    assert "openssl" in text
    assert not model.with_name("model.sig").exists()


@pytest.mark.parametrize("key", ["rsa.pub", "curve.pub", "none.pub", "ours.pem"])
def test_a_key_that_cannot_verify_is_said_to_be_none(signed: Path, keys: Path, key: str) -> None:
    text = said(run("verify", signed, keys / key))
    assert f"{key} is no public key that can be used" in text
    assert "openssl" in text


def test_nothing_is_no_model_to_sign(tmp_path: Path, keys: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no files" in said(run("sign", tmp_path / "empty", keys / "ours.pem"))


def test_where_a_signature_cannot_be_written_is_said(model: Path, keys: Path, tmp_path: Path) -> None:
    where = tmp_path / "nowhere" / "x.sig"
    assert f"{where} cannot be written: No such file or directory." in said(
        run("sign", model, keys / "ours.pem", "--signature", str(where))
    )


def _another(model: Path) -> None:
    (model / "b").write_text("B")


def _more(model: Path) -> None:
    (model / "c").write_text("c")


def _fewer(model: Path) -> None:
    (model / "a").unlink()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([_another], "'b' is not the file that was signed"),
        ([_more], "'c' is there and was not signed"),
        ([_fewer], "'a' was signed and is not there"),
        (
            [_another, _more, _fewer],
            "'a' was signed and is not there; 'b' is not the file that was signed; 'c' is there and was not signed",
        ),
    ],
)
def test_which_files_are_not_what_was_signed(
    signed: Path, keys: Path, changes: list[Callable[[Path], None]], expected: str
) -> None:
    for change in changes:
        change(signed)
    assert f"{signed} is NOT what was signed: {expected}." in said(run("verify", signed, keys / "ours.pub"))
    answer = json.loads(run("verify", signed, keys / "ours.pub", "--json").stdout)
    assert answer == {"valid": False, "reason": expected}


def test_a_signature_of_another_key_says_which(signed: Path, keys: Path) -> None:
    assert "another key signed it" in said(run("verify", signed, keys / "other.pub"))


def _changed(change: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    return lambda bundle: json.dumps(change(json.loads(bundle))).encode()


def _with(part: str, **members: object) -> Callable[[bytes], bytes]:
    return _changed(lambda bundle: bundle | {part: bundle[part] | members})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda _: b"\xff\xfe",
        lambda _: b"[]",
        lambda _: b"{}",
        lambda bundle: bundle[:300],
        lambda bundle: bundle.replace(b"mediaType", b"mType"),
        _with("dsseEnvelope", signatures=[]),
        _with("dsseEnvelope", payload="%%"),
        _changed(lambda bundle: bundle | {"verificationMaterial": {}}),
    ],
)
def test_a_file_that_is_no_signature_says_nothing_of_the_model(
    signed: Path, keys: Path, spoil: Callable[[bytes], bytes]
) -> None:
    file = signed.with_name("model.sig")
    file.write_bytes(spoil(file.read_bytes()))
    text = said(run("verify", signed, keys / "ours.pub"))
    assert f"{file} is no signature that can be verified" in text
    assert "NOT what was signed" not in text


def test_a_signature_over_something_else_is_not_this_keys(signed: Path, keys: Path) -> None:
    file = signed.with_name("model.sig")
    file.write_bytes(_with("dsseEnvelope", payload=base64.b64encode(b"{}").decode())(file.read_bytes()))
    assert "the signature is not this key's over this content" in said(run("verify", signed, keys / "ours.pub"))
