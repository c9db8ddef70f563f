"""Called each minute by a schedule, in another region than the one that it looks at."""

from functools import cache

from anfl import environment, start
from anfl.watch import Settings, Watch, build_watch

start.begin()


@cache
def _watch() -> Watch:
    return build_watch(environment.load(Settings))


def handler(_event: object, _context: object) -> None:
    """Look once, and say what was seen."""
    _watch().publish()
