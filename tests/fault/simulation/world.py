"""A world with one clock in which processes take turns: whose turn it is, and what goes wrong, is drawn from a seed.

Every process is a thread, and exactly one of them runs at a time: each call of the object store and each sleep is a
place where the turn may pass to another, where the process may be killed, and where it may be suspended for days.
"""

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

DAY = 24 * 3600.0
SUSPENSIONS = (5.0, 400.0, 7200.0, 8 * DAY, 9 * DAY)
"""Seconds for which a process may be suspended."""
MOST_TURNS = 20_000
"""Of a round; it needs a few thousand."""


class StalledError(Exception):
    """Processes go on and on without an end: whoever waits for them waits for ever."""


class Crash(BaseException):
    """The process was killed. Nothing may catch it but whoever starts it again."""


@dataclass(kw_only=True)
class Weather:
    """How likely things go wrong, at each turn or call."""

    faults: float = 0.0
    """An operation fails before, after, or long before it takes effect."""
    outages: float = 0.0
    """The same for the table."""
    crashes: float = 0.0
    suspensions: float = 0.0
    lengths: Sequence[float] = SUSPENSIONS
    """Seconds that a suspension may last."""
    late_days: bool = False
    """Writes that failed may take effect days later, not only minutes."""


@dataclass(kw_only=True)
class Actor:
    """A process."""

    name: str
    body: Callable[[], None]
    killable: bool
    turn: threading.Lock = field(default_factory=threading.Lock)
    wake_at: float = 0.0
    alive: bool = True
    doomed: bool = False
    error: BaseException | None = None


class World:
    """Turns, time and late effects."""

    def __init__(self, seed: int, weather: Weather, *, most_turns: int = MOST_TURNS) -> None:
        """:param most_turns: after which a round counts as stalled."""
        self.random = random.Random(seed)
        self.weather = weather
        self.seconds = 1_000_000_000.0
        self.turns = 0
        self._most_turns = most_turns
        self.trace: list[str] = []
        """What happened, for whoever looks at a failing seed."""
        self._actors: list[Actor] = []
        self._current: Actor | None = None
        self._main = threading.Lock()
        self._main.acquire()
        self._late: list[tuple[float, Callable[[], None]]] = []

    def spawn(self, name: str, body: Callable[[], None], *, killable: bool = True) -> None:
        """A process that runs ``body``; killed, it runs it again."""
        actor = Actor(name=name, body=body, killable=killable, wake_at=self.seconds + self.random.uniform(0, 2))
        actor.turn.acquire()
        self._actors.append(actor)
        threading.Thread(target=self._live, args=(actor,), daemon=True, name=name).start()

    def run(self) -> None:
        """Until every process has ended.

        :raises StalledError: they do not.
        :raises BaseException: what a process failed of.
        """
        while True:
            alive = [actor for actor in self._actors if actor.alive]
            if not alive:
                return
            ready = [actor for actor in alive if actor.wake_at <= self.seconds]
            if not ready:
                moments = [*(actor.wake_at for actor in alive), *(moment for moment, _ in self._late)]
                self.seconds = max(self.seconds, min(moments))
                self._land()
                continue
            actor = self.random.choice(ready)
            if actor.killable and self.random.random() < self.weather.crashes:
                actor.doomed = True
            elif self.random.random() < self.weather.suspensions:
                actor.wake_at = self.seconds + self.random.choice(self.weather.lengths)
                self.note(f"{actor.name} is suspended until {actor.wake_at:.0f}")
                continue
            self.turns += 1
            if self.turns > self._most_turns:
                raise StalledError(f"{self.turns} turns, and {len(alive)} processes have not ended")
            self.seconds += self.random.expovariate(100)
            self._current = actor
            actor.turn.release()
            self._main.acquire()
            self._current = None
            self._land()
            if actor.error is not None:
                raise actor.error

    def calm(self) -> None:
        """Nothing goes wrong any more, and what was late arrives."""
        self.weather = Weather()
        while self._late:  # what lands late may have to travel on
            late, self._late = self._late, []
            for _, effect in sorted(late, key=lambda each: each[0]):
                effect()

    def pause(self) -> None:
        """The turn may pass to another process.

        :raises Crash: this one was killed meanwhile.
        """
        actor = self._current
        if actor is None:
            return
        self._main.release()
        actor.turn.acquire()
        if actor.doomed:
            raise Crash(actor.name)

    def sleep(self, seconds: float) -> None:
        """Let time pass for the process whose turn it is."""
        if self._current is None:
            self.seconds += seconds
            return
        self._current.wake_at = self.seconds + seconds
        self.pause()

    def later(self, effect: Callable[[], None], *, most: float) -> None:
        """Let ``effect`` happen within ``most`` seconds."""
        self._late.append((self.seconds + self.random.uniform(0, most), effect))

    def note(self, text: str) -> None:
        """Add to the trace."""
        self.trace.append(f"{self.seconds - 1_000_000_000:.3f} {text}")

    @property
    def name(self) -> str:
        """Of the process whose turn it is."""
        return self._current.name if self._current else "nobody"

    def _live(self, actor: Actor) -> None:
        actor.turn.acquire()
        while actor.alive:
            try:
                actor.body()
                actor.alive = False
            except Crash:
                self.note(f"{actor.name} was killed")
                actor.doomed = False
                actor.wake_at = self.seconds + self.random.uniform(0, 5)
                self._main.release()
                actor.turn.acquire()
            except BaseException as error:  # whatever it is, it is the round's result
                actor.error = error
                actor.alive = False
        self._main.release()

    def _land(self) -> None:
        due = [late for late in self._late if late[0] <= self.seconds]
        if due:
            self._late = [late for late in self._late if late[0] > self.seconds]
            for _, effect in sorted(due, key=lambda late: late[0]):
                effect()
