"""The other region's copies of objects: they come a while after somebody asked, unless the question was lost."""

from anfl.object_copies import copies_of
from tests.fault.simulation.bucket import Bucket
from tests.fault.simulation.world import World

_COPYING_SECONDS = 60.0


class Copies:
    """`anfl.vectors.elsewhere.Elsewhere` of one bucket, which a single other one replicates."""

    seconds = 600.0

    def __init__(self, world: World, bucket: Bucket, far: Bucket) -> None:
        self._world = world
        self._bucket = bucket
        self._far = far

    def ask(self, key: str) -> None:
        """See `anfl.vectors.elsewhere.Elsewhere.ask`."""
        self._world.pause()
        if self._world.random.random() < self._world.weather.faults:
            self._world.note(f"{self._world.name}: nobody hears that {key} is asked for")
            return
        self._world.note(f"{self._world.name}: {key} is asked for")
        self._world.later(lambda: self._bring(key), most=_COPYING_SECONDS)

    def _bring(self, key: str) -> None:
        for number, body in enumerate(self._far.all_of(key)):
            self._bucket.bring(f"{copies_of(key)}{number:03d}", body)
