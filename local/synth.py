"""Synthesizes the stacks into a folder, unless nothing that they are made of has changed."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from local.state import REPOSITORY
from local.tasks import TaskError, output_of

CDK = REPOSITORY / "node_modules" / ".bin" / "cdk"
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


async def synthesize(
    output: Path, *, environment: str, regions: str | None, variables: Mapping[str, str], log: Path
) -> bool:
    """Write the cloud assembly to ``output``.

    :returns: whether it had to; False where the one there is still right.
    :raises TaskError: with the last lines that the CDK printed.
    """
    if not CDK.exists():
        raise TaskError("The CDK CLI is not installed: run 'make run', which installs it first (or 'npm ci').")
    context = ["-c", f"env={environment}", *(["-c", f"regions={regions}"] if regions else [])]
    mark = output.with_name(output.name + ".inputs")
    fingerprint = _fingerprint(context)
    if (output / "manifest.json").exists() and mark.exists() and mark.read_text() == fingerprint:
        return False
    mark.unlink(missing_ok=True)
    arguments = ("synth", "-q", "--no-notices", "--no-validation", *context, "-o", str(output))
    await output_of("'cdk synth'", (str(CDK), *arguments), variables=variables, log=log)
    mark.write_text(fingerprint)
    return True


def _fingerprint(context: list[str]) -> str:
    digest = hashlib.sha256("\0".join(context).encode())
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
