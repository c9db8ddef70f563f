"""``make images``: build the services' images and, with ``--push ACCOUNT.dkr.ecr.REGION.amazonaws.com``, push them.

Templates name repository and content tag; synthesis never builds an image. The base image is pinned by digest, which
``--base-digest`` (or BASE_DIGEST) gives: ``docker buildx imagetools inspect`` prints it.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from anfl.resources import Service
from bundling.errors import BundlingError
from bundling.images import ServiceImage, image_for

BASE = "public.ecr.aws/docker/library/python:3.13-slim-bookworm"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def main(arguments: list[str] | None = None) -> int:
    """Build (and push) every image; 1 with an explanation where that is not possible here."""
    parser = argparse.ArgumentParser(prog="make images", description=__doc__)
    parser.add_argument("--base-digest", default=os.environ.get("BASE_DIGEST", ""), help=f"digest of {BASE}")
    parser.add_argument(
        "--push", metavar="REGISTRY", default=os.environ.get("REGISTRY", ""), help="registry to push to"
    )
    options = parser.parse_args(arguments)
    try:
        docker = _docker()
        if not _DIGEST.fullmatch(options.base_digest):
            raise BundlingError(
                f"Pin the base image: BASE_DIGEST=sha256:… make images "
                f"('docker buildx imagetools inspect {BASE}' prints the digest)."
            )
        for service in Service:
            _build(docker, image_for(service), digest=options.base_digest, registry=options.push)
    except BundlingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _docker() -> str:
    """The Docker client, where its daemon answers.

    :raises BundlingError: what to do instead.
    """
    names = "\n".join(f"  {image.repository}:{image.tag}" for image in map(image_for, Service))
    docker = shutil.which("docker")
    if docker is None:
        raise BundlingError(f"There is no docker here. Build these images where it is:\n{names}")
    try:
        subprocess.run([docker, "info"], capture_output=True, timeout=10, check=True)  # noqa: S603
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise BundlingError(
            f"The Docker daemon does not answer. Start it, or build these elsewhere:\n{names}"
        ) from error
    return docker


def _build(docker: str, image: ServiceImage, *, digest: str, registry: str) -> None:
    name = f"{registry}/{image.repository}:{image.tag}" if registry else f"{image.repository}:{image.tag}"
    with tempfile.TemporaryDirectory() as folder:
        image.stage_context(Path(folder))
        dockerfile = image.source.relative_to(image.source.parents[1]) / "Dockerfile"
        build = ["build", "--platform", "linux/amd64", "--build-arg", f"BASE={BASE}@{digest}", "--tag", name]
        _run([docker, *build, "--file", str(Path(folder) / dockerfile), folder], f"Building {name}")
    if registry:
        _run([docker, "push", name], f"Pushing {name}")


def _run(command: list[str], purpose: str) -> None:
    sys.stdout.write(f"{purpose} …\n")
    if subprocess.run(command, check=False, timeout=3600).returncode != 0:  # noqa: S603
        raise BundlingError(f"{purpose} failed.")


if __name__ == "__main__":
    sys.exit(main())
