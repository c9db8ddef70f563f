"""Synthesizes the stacks into a folder, unless nothing that they are made of has changed."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from operations import toolkit
from operations.toolkit import REPOSITORY

SECONDS = 600.0
_SOURCES = (
    "app.py",
    "cdk.json",
    "architecture.yaml",
    "environments",
    "stacks",
    "constructs",
    "bundling",
    "anfl",
    "lambda_src",
    "services",
    "requirements.txt",
    "package-lock.json",
    "vault",
    "monitoring",
)


async def synthesize(output: Path, *, context: Mapping[str, str], variables: Mapping[str, str], log: Path) -> bool:
    """Write the cloud assembly to ``output``.

    :param context: what ``-c name=value`` would say.
    :returns: whether it had to; False where the one there is still right.
    :raises ToolkitFailedError: with the last lines that the CDK printed.
    """
    options = [option for name, value in context.items() for option in ("-c", f"{name}={value}")]
    mark = output.with_name(output.name + ".inputs")
    fingerprint = _fingerprint(options, Path(context["settings"]) if "settings" in context else None)
    if (output / "manifest.json").exists() and mark.exists() and mark.read_text() == fingerprint:
        return False
    mark.unlink(missing_ok=True)
    arguments = ("synth", "-q", "--no-validation", *options, "-o", str(output))
    await toolkit.run(arguments, variables=variables, log=log, timeout=SECONDS)
    mark.write_text(fingerprint)
    return True


def _fingerprint(context: list[str], settings: Path | None) -> str:
    digest = hashlib.sha256("\0".join(context).encode())
    for path in sorted(settings.rglob("*.yaml")) if settings else ():
        digest.update(path.read_bytes())
    for path in _inputs():
        digest.update(f"\0{path.relative_to(REPOSITORY)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for bundle in sorted((REPOSITORY / "build").glob("*/*")):
        digest.update(f"\0{bundle.relative_to(REPOSITORY)}".encode())  # named by what is in them
    return digest.hexdigest()


def _inputs() -> Iterator[Path]:
    for name in _SOURCES:
        root = REPOSITORY / name
        found = [root] if root.is_file() else sorted(root.rglob("*"))
        yield from (path for path in found if path.is_file() and "__pycache__" not in path.parts)
