"""The bundle of each Lambda function: what goes in, under which name it is cached."""

import sys
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from anfl.resources import Caretaker, Function
from bundling.errors import BundleMissingError
from bundling.sources import ROOT, compiled_beside, digest, files_below, modules_used_by

PYTHON_VERSION = "3.13"
ARCHITECTURE = "x86_64"
RECIPE = "2"
"""Raise it where a change of this package makes another bundle from the same sources."""
BYTECODE = sys.implementation.cache_tag == f"cpython-{PYTHON_VERSION.replace('.', '')}"
"""Whether this interpreter compiles for the target's, so that bundles ship bytecode."""

BUILD = ROOT / "build"


@dataclass(frozen=True, kw_only=True)
class FunctionBundle:
    """What one function ships: its folder at the root, the modules of ``anfl`` it uses, its locked requirements."""

    name: Function | Caretaker
    source: Path

    @property
    def requirements(self) -> Path:
        """The lock of its dependencies, with hashes."""
        return self.source / "requirements.txt"

    @cached_property
    def modules(self) -> list[Path]:
        """The files of ``anfl`` that the handler imports, directly or not."""
        return modules_used_by(files_below(self.source))

    @cached_property
    def content_hash(self) -> str:
        """Names the bundle: SHA-256 over sources, lock, Python version, architecture, recipe, kind of code."""
        code = "bytecode" if BYTECODE else "source"
        files = [*files_below(self.source), *self.modules, *compiled_beside(self.modules)]
        return digest(files, PYTHON_VERSION, ARCHITECTURE, RECIPE, code)

    @property
    def archive(self) -> Path:
        """Where the built bundle lies, or will lie."""
        return BUILD / "bundles" / f"{self.name}-{self.content_hash}.zip"

    def require(self) -> Path:
        """The built bundle.

        :raises BundleMissingError: it has not been built from the present sources.
        """
        if not self.archive.is_file():
            raise BundleMissingError(self.name)
        return self.archive


@cache
def bundle_for(function: Function | Caretaker) -> FunctionBundle:
    """The bundle of ``function``."""
    return FunctionBundle(name=function, source=ROOT / "lambda_src" / function.replace("-", "_"))
