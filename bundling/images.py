"""The container image of each ECS service: repository, content tag and what it is built from."""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from anfl.resources import Service
from bundling.sources import ROOT, compiled_beside, digest, files_below, modules_used_by

COLLECTOR_REPOSITORY = "anfl-collector"
"""Of the copy of the collector's image that stands beside each task."""
TAG_LENGTH = 20
"""Hexadecimal digits of a tag: 80 bits tell any two contents apart."""


@dataclass(frozen=True, kw_only=True)
class ServiceImage:
    """What one service's image is built from."""

    name: Service
    source: Path

    @property
    def repository(self) -> str:
        """Name of its ECR repository."""
        return f"anfl-{self.name}"

    @cached_property
    def files(self) -> list[Path]:
        """Everything in the build context, but for what is compiled from it."""
        own = files_below(self.source)
        modules = modules_used_by(own)
        return [*own, *modules, *compiled_beside(modules)]

    @cached_property
    def tag(self) -> str:
        """Content hash of the context, which holds the Dockerfile and the lock of the dependencies."""
        return digest(self.files)[:TAG_LENGTH]


@cache
def image_for(service: Service) -> ServiceImage:
    """The image of ``service``."""
    return ServiceImage(name=service, source=ROOT / "services" / service.replace("-", "_"))
