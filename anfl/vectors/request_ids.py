"""The requests of a day that a collection has carried out: the recent ones in memory, the others in `request_runs`."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from anfl.vectors import request_runs
from anfl.vectors.batch import Batch
from anfl.vectors.request_runs import Remembered, Run, fold, number_of

REQUEST_SECONDS = 24 * 3600
"""How long a request id is remembered."""
_RECENT_BYTES = 300
"""About what a request takes in memory."""
_RUN_BYTES = 8_000
"""About what a run takes there beside its files."""


class RequestIds:
    """What one state knows of them. Not safe for threads, but for a `still` copy."""

    def __init__(self, runs: tuple[Run, ...] = (), recent: Iterable[Remembered] = ()) -> None:
        """:param recent: what was carried out behind the last of ``runs``, in the order of its batches."""
        self.runs = runs
        self._recent = {known.request.request_id: known for known in recent}
        """In the order of their batches. A `still` copy shares it, so whoever takes more than what is too old out of it
        makes another one."""

    def still(self) -> Self:
        """A copy that keeps what is in this one now, whoever changes it meanwhile, and may have later ones besides."""
        still = type(self)(self.runs)
        still._recent = self._recent
        return still

    @property
    def private_bytes(self) -> int:
        """About the memory that this process alone has for it."""
        return _RECENT_BYTES * len(self._recent) + _RUN_BYTES * len(self.runs)

    @property
    def mapped_bytes(self) -> int:
        """Bytes of files that are mapped, shared with the node's other processes."""
        return sum(run.mapped_bytes for run in self.runs)

    @property
    def are_many(self) -> bool:
        """Whether so many are in memory that they should be in a run."""
        return len(self._recent) > request_runs.MOST_RECENT

    def find(self, request_id: str) -> Remembered | None:
        """The last request of this id."""
        known = self._recent.get(request_id)
        if known is not None or not self.runs:
            return known
        text = request_id.encode(errors="surrogatepass")
        number = number_of(text)
        for run in reversed(self.runs):
            if (known := run.find(text, number)) is not None:
                return known
        return None

    def recent(self, *, upto: int) -> list[Remembered]:
        """Those that are in no run, in the order of their batches, the last of which is ``upto``."""
        return [known for known in list(self._recent.values()) if known.sequence <= upto]

    def behind(self, sequence: int, *, upto: int, oldest: float) -> Iterator[Remembered]:
        """What the batches behind ``sequence``, up to ``upto``, have carried out since ``oldest``, in their order."""
        for run in self.runs:
            if run.last > sequence:
                yield from run.behind(sequence, oldest=oldest)
        for known in self.recent(upto=upto):
            if known.sequence > sequence and known.ts >= oldest:
                yield known

    def remember(self, batch: Batch) -> None:
        """Take in what the next batch carries out, and forget what is too old."""
        for request in batch.requests:
            self._recent.pop(request.request_id, None)
            self._recent[request.request_id] = Remembered(request, batch.sequence, batch.ts)
        oldest = batch.ts - REQUEST_SECONDS
        while self._recent:  # in the order of their batches, so the oldest stand first
            first = next(iter(self._recent))
            if self._recent[first].ts >= oldest:
                break
            del self._recent[first]

    def opened(self, folders: Sequence[Path]) -> tuple[Run, ...]:
        """The runs in ``folders``, of which some may be here already.

        :raises DamagedFileError, FileNotFoundError: one is damaged, or gone.
        """
        known = {run.name: run for run in self.runs}
        return tuple(known.get(path.name) or Run(path) for path in folders)

    def install(self, runs: tuple[Run, ...], recent: Sequence[Remembered], *, upto: int) -> None:
        """Hold what was carried out up to ``upto`` as somebody else does: in these runs and, behind them, ``recent``.

        Nothing changes where runs of its own go beyond that.
        """
        if self._last > upto:
            return
        later = {name: known for name, known in self._recent.items() if known.sequence > upto}
        earlier = {name: known for known in recent if (name := known.request.request_id) not in later}
        self.runs, self._recent = runs, earlier | later

    def folded(self, folder: Path, *, upto: int, ts: float) -> tuple[Run, ...] | None:
        """The runs there are once all up to ``upto``, a batch of ``ts``, are in one; None where that is not worth it.

        For `take`. Changes nothing, and takes its time; see `request_runs.fold`.
        """
        oldest = ts - REQUEST_SECONDS
        if not self.are_many and not any(run.is_old(oldest) for run in self.runs):
            return None
        return fold(self.recent(upto=upto) if self.are_many else [], self.runs, folder, oldest=oldest)

    def take(self, runs: tuple[Run, ...], *, of: "RequestIds") -> bool:
        """Take over what `folded` has made ``of`` a copy of these; False where more than batches came in between."""
        if of._recent is not self._recent or of.runs is not self.runs:
            return False
        last = max(self._last, runs[-1].last if runs else 0)
        self.runs = runs
        self._recent = {name: known for name, known in self._recent.items() if known.sequence > last}
        return True

    @property
    def _last(self) -> int:
        """The sequence up to which everything is in runs."""
        return self.runs[-1].last if self.runs else 0
