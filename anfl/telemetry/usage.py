"""How much of its processors and memory a service uses: of its container, or else of the machine's."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CGROUP = Path("/sys/fs/cgroup")
"""The container's own, as cgroup version 2 shows it to whoever is inside."""
_UNLIMITED = "max"


class Usage(Collector):
    """Reads the kernel's figures when it is asked. All processes of a container count together."""

    def __init__(self, *, cgroup: Path = CGROUP) -> None:
        self._cgroup = cgroup

    def collect(self) -> Iterable[Metric]:
        """Used and available: a share is the one divided by the other."""
        memory, limit = self._memory()
        yield CounterMetricFamily("anfl_cpu_seconds", "Processor time used.", self._cpu_seconds())
        yield GaugeMetricFamily("anfl_cpu_cores", "Processors available.", self._cores())
        yield GaugeMetricFamily("anfl_memory_bytes", "Memory used, without caches that can go.", memory)
        yield GaugeMetricFamily("anfl_memory_limit_bytes", "Memory available.", limit)

    def _cpu_seconds(self) -> float:
        used = self._statistics("cpu.stat").get("usage_usec") if self._contained else None
        return time.process_time() if used is None else used / 1_000_000

    def _cores(self) -> float:
        cores = float(os.cpu_count() or 1)
        quota, _, period = (self._text("cpu.max") or _UNLIMITED).partition(" ")
        return cores if quota == _UNLIMITED else min(cores, int(quota) / int(period))

    def _memory(self) -> tuple[float, float]:
        machine = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        current = self._text("memory.current")
        if current is None:
            resident = int(Path("/proc/self/statm").read_text().split()[1])
            return float(resident * os.sysconf("SC_PAGE_SIZE")), machine
        used = float(int(current) - self._statistics("memory.stat").get("inactive_file", 0))
        limit = self._text("memory.max") or _UNLIMITED
        return used, machine if limit == _UNLIMITED else min(machine, float(limit))

    @property
    def _contained(self) -> bool:
        """The machine's own group has statistics too, of everything on it, and no figure of its memory."""
        return (self._cgroup / "memory.current").is_file()

    def _statistics(self, name: str) -> dict[str, int]:
        lines = (self._text(name) or "").splitlines()
        return {key: int(value) for key, _, value in (line.partition(" ") for line in lines)}

    def _text(self, name: str) -> str | None:
        try:
            return (self._cgroup / name).read_text().strip()
        except FileNotFoundError:
            return None
