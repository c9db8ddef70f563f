"""How moto is changed."""

from collections.abc import Callable
from typing import Any

Patch = Callable[[Any, str, Any], None]
"""(owner, name, value): `setattr`, or what stands in for it."""
