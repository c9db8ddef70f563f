"""Inspection of what the registry stores."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anfl.problems import Problem
from anfl.registry.entities import VersionOf
from anfl.registry.inspections import Inspections
from anfl.registry.registry import Registry
from tests.unit.registry.conftest import BUCKET


def array(length: int) -> bytes:
    target = io.BytesIO()
    np.save(target, np.zeros(length))
    return target.getvalue()


@pytest.fixture(name="inspections")
def _inspections(registry: Registry, tmp_path: Path) -> Inspections:
    return Inspections(registry, scratch=tmp_path)
