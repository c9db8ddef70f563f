"""What is measured over HTTP, and what must hold: ratios of one run on one machine."""

import statistics

import msgspec


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """Queries a second, side by side, within seconds of each other."""

    service: float
    bare: float
    raw: float


class Filtered(msgspec.Struct, frozen=True, kw_only=True):
    """Queries with a filter. ``share`` of the rows matches; ``near``: those in one direction, else any."""

    share: float
    near: bool
    rate: float
    recall: float
    ratio: float
    """To the same service without a filter."""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes. ``pss``: of all processes; ``index``: vectors, graph and original values of all rows."""

    pss: int
    index: int
    processes: int


class HttpFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Rates are a second, latencies milliseconds."""

    source: str
    rows: int
    dimension: int
    k: int
    connections: int
    workers: int
    """Of the service where it uses all cores."""
    recall: float
    rounds: list[Round]
    """One worker."""
    one_connection: float
    all_workers: list[float]
    """Rates in turns with `one_worker`."""
    one_worker: list[float]
    filtered: list[Filtered]
    batch: float
    """Vectors a second, a hundred a request."""
    raw_batch: float
    load: float
    raw_load: float
    idle_p99: float
    loading_p99: float
    cold_seconds: float
    memory: Memory


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A figure beside its limit."""

    measure: str
    found: float
    limit: float
    at_most: bool = False

    @property
    def holds(self) -> bool:
        """Whether it is met."""
        return self.found <= self.limit if self.at_most else self.found >= self.limit


def verdicts(found: HttpFigures) -> list[Verdict]:
    """Each figure that has a limit, in the order of the requirements."""
    memory = found.memory
    to_raw = statistics.median(each.service / each.raw for each in found.rounds)
    to_bare = statistics.median(each.service / each.bare for each in found.rounds)
    to_one = statistics.median(more / one for more, one in zip(found.all_workers, found.one_worker, strict=True))
    least = min((each.recall for each in found.filtered), default=1.0)
    listed = [
        Verdict(measure=f"recall@{found.k}", found=found.recall, limit=0.985),
        Verdict(measure="one worker / raw hnswlib", found=to_raw, limit=0.5),
        Verdict(measure="one worker / bare handler", found=to_bare, limit=0.85),
        Verdict(measure="all workers / one worker", found=to_one, limit=1.4),
    ]
    for each in found.filtered:
        kind = "near" if each.near else "any"
        limit = 0.2 if 0.15 < each.share < 0.4 else 0.3
        listed.append(Verdict(measure=f"filter {each.share:.0%} {kind} / unfiltered", found=each.ratio, limit=limit))
    listed += [
        Verdict(measure="least recall with a filter", found=least, limit=0.99),
        Verdict(measure="batch / raw batch", found=found.batch / found.raw_batch, limit=0.8),
        Verdict(measure="load / raw add_items", found=found.load / found.raw_load, limit=0.6),
        Verdict(measure="p99 loading / idle", found=found.loading_p99 / found.idle_p99, limit=5.0, at_most=True),
        Verdict(measure="cold load, seconds", found=found.cold_seconds, limit=1.5, at_most=True),
        Verdict(
            measure="memory / allowed", found=memory.pss / (1.6 * memory.index + 200 * 10**6), limit=1.0, at_most=True
        ),
    ]
    return listed
