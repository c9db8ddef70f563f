"""``anfl models sign`` and ``verify``: OpenSSF model-signing of files on this machine; nothing is sent.

The library signs and verifies. Why it refuses it says in its own words, or with an error of what it is made of; so what
a person reads is found out anew, by the code with which the registry verifies (`anfl.registry.signing`).
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anfl.cli.artefacts import artefacts_at
from anfl.cli.errors import CliError, ExitCode
from anfl.cli.options import Json
from anfl.cli.output import console, print_json
from anfl.registry import signing
from anfl.registry.signing import SignatureError

if TYPE_CHECKING:
    from model_signing.hashing import Config

Artefacts = Annotated[Path, typer.Argument(exists=True, help="File or folder of artefacts.")]
_KINDS = "of the curve P-256, P-384 or P-521, in PEM"


def sign(
    path: Artefacts,
    key: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Private key (P-256, P-384, P-521; PEM).")],
    signature: Annotated[Path | None, typer.Option(help="Where to write it; by default beside PATH.")] = None,
    as_json: Json = False,
) -> None:
    """Sign artefacts on this machine; nothing is sent."""
    from model_signing.signing import Config

    target = signature or _beside(path)
    if target.resolve().is_relative_to(path.resolve()):
        raise CliError("The signature would lie among what it signs; name another place.", exit_code=ExitCode.USAGE)
    if not artefacts_at(path):
        raise CliError(f"{path} holds no files.", exit_code=ExitCode.USAGE)
    config = Config()  # type: ignore[no-untyped-call]
    try:
        config.use_elliptic_key_signer(private_key=key).set_hashing_config(_hashing())
    except Exception as error:
        message = (
            f"{key} is no private key that can sign: it must be {_KINDS}, without a password. One is made by:"
            " openssl ecparam -name prime256v1 -genkey -noout -out signing.pem"
        )
        raise CliError(message, exit_code=ExitCode.USAGE) from error
    try:
        config.sign(path.resolve(), target)
    except OSError as error:
        if error.filename == str(target):
            raise CliError(f"{target} cannot be written: {error.strerror or error}.") from error
        raise _unreadable(path, error) from error
    except (ValueError, TypeError) as error:
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
    from model_signing.verifying import Config

    source = signature or _beside(path)
    if not source.is_file():
        raise CliError(f"There is no signature {source}.", exit_code=ExitCode.USAGE)
    config = Config()  # type: ignore[no-untyped-call]
    try:
        config.use_elliptic_key_verifier(public_key=key).set_hashing_config(_hashing())
    except Exception as error:
        message = (
            f"{key} is no public key that can be used: it must be {_KINDS}. That of a private key is told by:"
            " openssl ec -in key.pem -pubout"
        )
        raise CliError(message, exit_code=ExitCode.USAGE) from error
    reason: str | None = None
    try:
        config.verify(path.resolve(), source)
    except Exception as error:
        reason = _reason(path, source, key, error)
    if as_json:
        print_json({"valid": reason is None, "reason": reason})
    elif reason is None:
        console.print(f"{path} is what was signed.")
    else:
        console.print(f"{path} is NOT what was signed: {reason}. Fetch it anew, or ask who signed it.")
    if reason is not None:
        raise typer.Exit(ExitCode.FAILED)


def _reason(path: Path, source: Path, key: Path, refusal: Exception) -> str:
    """Why the library refused.

    :raises CliError: that says nothing of the artefacts.
    """
    try:
        signature = signing.parse(source.read_bytes())
    except SignatureError as error:
        message = f"{source} is no signature that can be verified; `anfl models sign` writes one."
        raise CliError(message, exit_code=ExitCode.USAGE) from error
    except OSError as error:
        raise _unreadable(source, error) from error
    try:
        pem, own = signing.public_key(key.read_text(errors="replace"))
        if signature.key != own:
            return f"another key signed it (with the SHA-256 {signature.key}), and not {key} ({own})"
        signing.verify(signature, pem=pem, files={name: _sha256(file) for name, file in artefacts_at(path).items()})
    except SignatureError as error:
        return str(error)
    except OSError as error:
        raise _unreadable(path, error) from error
    return str(refusal)


def _beside(path: Path) -> Path:
    return path.resolve().with_name(f"{path.resolve().name}.sig")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unreadable(path: Path, error: OSError) -> CliError:
    return CliError(f"{error.filename or path} cannot be read: {error.strerror or error}.")


def _hashing() -> "Config":
    """Every file counts, also those that the library leaves out by default: the registry stores them."""
    from model_signing.hashing import Config

    config = Config()  # type: ignore[no-untyped-call]
    return config.set_ignored_paths(paths=[], ignore_git_paths=False).set_allow_symlinks(allow_symlinks=True)
