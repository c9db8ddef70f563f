"""``python -m anfl.vectors.building``: the builder of this node, until it is killed. Whoever runs it starts it again.

Of several on one node one works and the others wait.
"""

import errno
import logging
import random
import time

from anfl import aws, environment, start
from anfl.problems import Problem
from anfl.processes import usable_cores
from anfl.vectors.build import Settings, catalogue_of, storage_of
from anfl.vectors.builder import Builder
from anfl.vectors.events import Events
from anfl.vectors.janitor import Janitor
from anfl.vectors.storage import Storage

IDLE_SECONDS = 0.05
"""How often an idle builder looks for work."""
SWEEP_SECONDS = 3600.0
"""About how often a node looks through the whole bucket."""
_FOREVER = 10 * 365 * 24 * 3600.0
_log = logging.getLogger(__name__)


def run(settings: Settings, events: Events | None = None) -> None:
    """Build, for ever."""
    storage = storage_of(settings, aws.session(), events=events)
    builder = Builder(storage, threads=settings.build_threads or usable_cores())
    janitor = Janitor(storage, catalogue_of(settings, aws.session()))
    with storage.node.lock("builder", seconds=_FOREVER) as alone:
        if not alone:
            raise OSError(errno.ENOSPC, "no room for the builder's lock", str(storage.node.path))
        _work(builder, janitor, storage)


def _work(builder: Builder, janitor: Janitor, storage: Storage) -> None:
    clock = storage.clock
    next_sweep = clock.monotonic() + random.uniform(0, SWEEP_SECONDS)  # noqa: S311 - nodes take their turns
    while True:
        if not builder.turn():
            time.sleep(IDLE_SECONDS)
        if clock.monotonic() >= next_sweep:
            next_sweep = clock.monotonic() + SWEEP_SECONDS
            try:
                janitor.sweep(now=clock.wall())
            except Problem as problem:
                _log.warning("the bucket could not be swept; it is tried again", extra={"code": problem.code})


if __name__ == "__main__":
    start.begin()
    run(environment.load(Settings))
