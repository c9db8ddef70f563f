"""What is measured of the two registries, and what must hold: ratios of one run on one machine."""

import msgspec

from tests.benchmarks.http.figures import Verdict


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of request, one at a time: medians, in milliseconds."""

    name: str
    service: float
    """From the client's request to its answer."""
    store: float
    """Of that, in calls of AWS: signing, sending, waiting for moto, parsing."""
    mlflow: float
    """From the client's request to its answer, SQLite included."""

    @property
    def own(self) -> float:
        """The service's own time."""
        return self.service - self.store


class Processor(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds of processor time a request, of all processes of a server, over all small requests."""

    service: float
    """Calls of AWS included."""
    mlflow: float


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes (PSS) of all processes, with as many workers, after the same requests."""

    workers: int
    service: int
    mlflow: int


class RegistryFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    models: int
    """Of the searches, with three versions each."""
    mlflow_version: str
    calls: list[Call]
    searches: list[Call]
    """The service over a store in memory (`in_memory`), so no time of theirs is the store's."""
    processor: Processor
    memory: Memory


def verdicts(found: RegistryFigures) -> list[Verdict]:
    """Each figure that has a limit."""
    listed = [
        Verdict(measure=f"{each.name}: own time / MLflow", found=each.own / each.mlflow, limit=1.0, at_most=True)
        for each in (*found.calls, *found.searches)
    ]
    memory = Verdict(
        measure="memory / MLflow", found=found.memory.service / found.memory.mlflow, limit=0.5, at_most=True
    )
    return [*listed, memory]
