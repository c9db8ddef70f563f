"""``anfl models sign``, ``verify``, ``signatures``, ``keys``: OpenSSF model-signing with key pairs of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from anfl.cli.errors import CliError, ExitCode
from anfl.cli.options import Endpoint, Json, Role, Token
from anfl.cli.output import console, print_json, print_table
from anfl.cli.target import resolve

if TYPE_CHECKING:
    from model_signing.hashing import Config

keys = typer.Typer(no_args_is_help=True, help="Public keys whose signatures are believed.")
signatures = typer.Typer(no_args_is_help=True, help="Signatures of versions.")

Artefacts = Annotated[Path, typer.Argument(exists=True, help="File or folder of artefacts.")]
Name = Annotated[str, typer.Argument(help="Name of the model.")]
Version = Annotated[str, typer.Argument(help="Version number.")]
_KEYS = "/v1/models-keys"


def sign(
    path: Artefacts,
    key: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Private key (P-256, P-384, P-521; PEM).")],
    signature: Annotated[Path | None, typer.Option(help="Where to write it; by default beside PATH.")] = None,
    as_json: Json = False,
) -> None:
    """Sign artefacts on this machine; nothing is sent."""
    from model_signing.signing import Config

    target = signature or path.resolve().with_name(f"{path.resolve().name}.sig")
    if target.resolve().is_relative_to(path.resolve()):
        raise CliError("The signature would lie among what it signs; name another place.", exit_code=ExitCode.USAGE)
    try:
        config = Config()  # type: ignore[no-untyped-call]
        config.use_elliptic_key_signer(private_key=key).set_hashing_config(_hashing())
        config.sign(path.resolve(), target)
    except (ValueError, TypeError, OSError) as error:
        raise CliError(f"{path} was not signed: {error}") from error
    if as_json:
        print_json({"signature": str(target)})
    else:
        console.print(f"{path} is signed in {target}.")


def verify(
    path: Artefacts,
    key: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Public key of who signed (PEM).")],
    signature: Annotated[Path | None, typer.Option(help="The signature; by default the one beside PATH.")] = None,
    as_json: Json = False,
) -> None:
    """Verify artefacts on this machine; exit code 1 where the key did not sign exactly these files."""
    from cryptography.exceptions import InvalidSignature
    from model_signing.verifying import Config

    source = signature or path.resolve().with_name(f"{path.resolve().name}.sig")
    if not source.is_file():
        raise CliError(f"There is no signature {source}.", exit_code=ExitCode.USAGE)
    config = Config()  # type: ignore[no-untyped-call]
    try:
        config.use_elliptic_key_verifier(public_key=key).set_hashing_config(_hashing())
    except (ValueError, TypeError, OSError) as error:
        raise CliError(f"{key} is no public key that can be used: {error}", exit_code=ExitCode.USAGE) from error
    reason: str | None = None
    try:
        config.verify(path.resolve(), source)
    except InvalidSignature:
        reason = "the signature is not this key's"
    except (ValueError, KeyError, TypeError, OSError) as error:
        reason = str(error)
    if as_json:
        print_json({"valid": reason is None, "reason": reason})
    else:
        console.print(f"{path} is what was signed." if reason is None else f"{path} is NOT what was signed: {reason}")
    if reason is not None:
        raise typer.Exit(ExitCode.FAILED)


@signatures.command("add")
def add_signature(
    name: Name,
    version: Version,
    signature: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The file that `sign` wrote.")],
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Register a signature; refused where no registered key signed exactly this version's files."""
    body = {"bundle": signature.read_text(encoding="utf-8", errors="replace")}
    with resolve(endpoint, token, role=role).connect() as client:
        answer = client.json("POST", _of(name, version), body=body)
    if as_json:
        print_json(answer)
    else:
        console.print(f"{name} version {version} is signed by {answer['key_name']}.")


@signatures.command("list")
def list_signatures(
    name: Name,
    version: Version,
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """A version's signatures, each verified again."""
    with resolve(endpoint, token, role=role).connect() as client:
        answer = client.json("GET", _of(name, version))
    if as_json:
        print_json(answer)
        return
    print_table(answer["signatures"], ["key_name", "valid", "added_by", "key"], empty="No signatures yet.")


@keys.command("add")
def add_key(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    key: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Public key (P-256, P-384, P-521; PEM).")],
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Believe signatures of a key from now on."""
    body = {"name": name, "public_key": key.read_text(encoding="utf-8", errors="replace")}
    with resolve(endpoint, token, role=role).connect() as client:
        answer = client.json("POST", _KEYS, body=body, repeatable=True)
    if as_json:
        print_json(answer)
    else:
        console.print(f"Signatures of {answer['name']} are believed; id {answer['id']}")


@keys.command("list")
def list_keys(endpoint: Endpoint = None, token: Token = None, role: Role = None, as_json: Json = False) -> None:
    """Keys whose signatures are believed."""
    with resolve(endpoint, token, role=role).connect() as client:
        answer = client.json("GET", _KEYS)
    if as_json:
        print_json(answer)
    else:
        print_table(answer["keys"], ["name", "id", "added_by"], empty="No keys yet.")


@keys.command("remove")
def remove_key(
    key: Annotated[str, typer.Argument(help="Id of the key, as `list` prints it.")],
    endpoint: Endpoint = None,
    token: Token = None,
    role: Role = None,
    as_json: Json = False,
) -> None:
    """Believe a key's signatures no more."""
    with resolve(endpoint, token, role=role).connect() as client:
        client.send("DELETE", f"{_KEYS}/{quote(key, safe='')}")
    if as_json:
        print_json({"key": key})
    else:
        console.print(f"Signatures of {key} are believed no more.")


def _hashing() -> "Config":
    """Every file counts, also those that the library leaves out by default: the registry stores them."""
    from model_signing.hashing import Config

    config = Config()  # type: ignore[no-untyped-call]
    return config.set_ignored_paths(paths=[], ignore_git_paths=False).set_allow_symlinks(allow_symlinks=True)


def _of(name: str, version: str) -> str:
    return f"/v1/models/{quote(name, safe='')}/versions/{quote(version, safe='')}/signatures"
