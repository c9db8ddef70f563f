"""How a benchmark says how far it is."""

from collections.abc import Callable

Report = Callable[[str, float], None]
"""Called with the name of a step and the share of it that is done, 0 to 1."""
