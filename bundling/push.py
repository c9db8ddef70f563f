"""``make images``: build the services' images and, with ``--push ACCOUNT.dkr.ecr.REGION.amazonaws.com``, push them.

With them go a copy of the collector's image that stands beside each task, and HashiCorp's package of Vault for its
nodes: neither tasks nor nodes have a way to the internet. Templates
name repository and content tag; synthesis never builds an image. What comes from a public registry is pinned by digest,
which ``--base-digest`` (or BASE_DIGEST) and, where the collector's image is to be copied, ``--collector-digest`` (or
COLLECTOR_DIGEST) give: ``docker buildx imagetools inspect`` prints it.
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
from bundling.context import stage_context
from bundling.errors import BundlingError
from bundling.images import COLLECTOR_REPOSITORY, ServiceImage, image_for
from bundling.registry import Registry
from bundling.vault_package import VAULT_REPOSITORY, mirror
from stacks.deployment import Collector
from stacks.settings import DEFAULT_ENVIRONMENT, load

BASE = "public.ecr.aws/docker/library/python:3.13-slim-bookworm"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def main(arguments: list[str] | None = None) -> int:
    """Build (and push) every image; 1 with an explanation where that is not possible here."""
    parser = argparse.ArgumentParser(prog="make images", description=__doc__)
    parser.add_argument("--base-digest", default=os.environ.get("BASE_DIGEST", ""), help=f"digest of {BASE}")
    parser.add_argument(
        "--collector-digest", default=os.environ.get("COLLECTOR_DIGEST", ""), help="digest of the collector's image"
    )
    parser.add_argument(
        "--push", metavar="REGISTRY", default=os.environ.get("REGISTRY", ""), help="registry to push to"
    )
    options = parser.parse_args(arguments)
    try:
        docker = _docker()
        _check_digest(options.base_digest, of=BASE, given_by="BASE_DIGEST")
        registry = Registry(options.push) if options.push else None
        if registry is not None:
            _log_in(docker, registry)
        for service in Service:
            _build(docker, image_for(service), digest=options.base_digest, registry=registry)
        if registry is not None:
            deployment = load(DEFAULT_ENVIRONMENT).deployment
            _copy(docker, deployment.collector, registry, digest=options.collector_digest)
            if deployment.vault.cluster is not None:
                _mirror(deployment.vault.cluster.version, registry)
    except BundlingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _check_digest(digest: str, *, of: str, given_by: str) -> None:
    """:raises BundlingError: it is none, and how to come by it."""
    if not _DIGEST.fullmatch(digest):
        raise BundlingError(
            f"Pin the image that comes from elsewhere: {given_by}=sha256:… make images "
            f"('docker buildx imagetools inspect {of}' prints the digest)."
        )


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


def _build(docker: str, image: ServiceImage, *, digest: str, registry: Registry | None) -> None:
    if registry is not None and registry.has(image.repository, image.tag):
        sys.stdout.write(f"{image.repository}:{image.tag} is there already.\n")
        return
    name = f"{image.repository}:{image.tag}"
    if registry is not None:
        name = f"{registry.host}/{name}"
    with tempfile.TemporaryDirectory() as folder:
        stage_context(image, Path(folder))
        dockerfile = image.source.relative_to(image.source.parents[1]) / "Dockerfile"
        build = ["build", "--platform", "linux/amd64", "--build-arg", f"BASE={BASE}@{digest}", "--tag", name]
        _run([docker, *build, "--file", str(Path(folder) / dockerfile), folder], f"Building {name}")
    if registry is not None:
        _run([docker, "push", name], f"Pushing {name}")


def _copy(docker: str, collector: Collector, registry: Registry, *, digest: str) -> None:
    if registry.has(COLLECTOR_REPOSITORY, collector.tag):
        sys.stdout.write(f"{COLLECTOR_REPOSITORY}:{collector.tag} is there already.\n")
        return
    _check_digest(digest, of=collector.image, given_by="COLLECTOR_DIGEST")
    name = f"{registry.host}/{COLLECTOR_REPOSITORY}:{collector.tag}"
    pinned = f"{collector.image}@{digest}"
    _run([docker, "pull", "--platform", "linux/amd64", pinned], f"Pulling {pinned}")
    _run([docker, "tag", pinned, name], f"Naming it {name}")
    _run([docker, "push", name], f"Pushing {name}")


def _mirror(version: str, registry: Registry) -> None:
    name = f"{VAULT_REPOSITORY}:{version}"
    sys.stdout.write(f"Copying {name} …\n")
    if not mirror(version, registry):
        sys.stdout.write(f"{name} is there already.\n")


def _log_in(docker: str, registry: Registry) -> None:
    command = [docker, "login", "--username", "AWS", "--password-stdin", registry.host]
    done = subprocess.run(command, input=registry.password(), text=True, capture_output=True, check=False, timeout=60)  # noqa: S603
    if done.returncode != 0:
        raise BundlingError(f"Docker could not log in to {registry.host}: {done.stderr.strip()}")


def _run(command: list[str], purpose: str) -> None:
    sys.stdout.write(f"{purpose} …\n")
    if subprocess.run(command, check=False, timeout=3600).returncode != 0:  # noqa: S603
        raise BundlingError(f"{purpose} failed.")


if __name__ == "__main__":
    sys.exit(main())
