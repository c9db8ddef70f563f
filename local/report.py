"""What a local run tells the person who started it."""

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.status import Status

from anfl.client import CA_VARIABLE
from local import sample

_PUBLIC = ("environment", "region", "api", "ca", "services", "vault", "aws_endpoint", "pids")


class Step:
    """A running step; set ``note`` to say more about how it went."""

    def __init__(self, title: str, status: Status) -> None:
        self._title = title
        self._status = status
        self.note = ""

    def progress(self, what: str, number: int, total: int) -> None:
        """Say what is being worked at, the how manieth of how many."""
        self._status.update(f"{self._title} … [dim]{number}/{total} {what}[/]")
        self.note = f"{total} in all"


class Reporter:
    """Prints one line a step; on a terminal the running one has a spinner.

    With ``as_json`` all that goes to stderr, and stdout gets one document: where everything listens, or the error.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.console = Console(highlight=False, stderr=as_json)
        self._as_json = as_json

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Time what happens inside and print it once it has succeeded."""
        started = time.perf_counter()
        with self.console.status(f"{title} …") as status:
            step = Step(title, status)
            yield step
        self._done(title, started, step.note)

    def _done(self, title: str, started: float, note: str) -> None:
        more = f", {note}" if note else ""
        self.console.print(f"[green]✓[/] {title} [dim]({time.perf_counter() - started:.1f} s{more})[/]")

    @contextmanager
    def counting(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """A progress bar; call what it yields with how many are done."""
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
        started = time.perf_counter()
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(title, total=total)
            yield lambda done: progress.update(task, completed=done)
        self._done(title, started, f"{total:,}")

    def failed(self, message: object) -> None:
        """The one message of a run that could not start or go on."""
        self.console.print(f"[bold red]anfl up:[/] {escape(str(message))}", soft_wrap=True)
        if self._as_json:
            _print_json({"ready": False, "error": str(message)})

    def started(self, document: Mapping[str, Any], place: Path, *, with_sample: bool) -> None:
        """Where everything listens, how to get a token, and what to try; as JSON without anything secret."""
        if self._as_json:
            public = {name: document[name] for name in _PUBLIC}
            _print_json({"ready": True, **public, "document": str(place)})
            return
        self.console.print("\n[bold green]ANFL is up.[/]")
        for name, where in _places(document, place):
            self.console.print(f"{name:<17} {where}".rstrip(), soft_wrap=True, markup=False)
        for line in _commands(document, place, with_sample=with_sample):
            self.console.print(line, soft_wrap=True, markup=False)
        self.console.print("\nCtrl-C stops everything.")


def _print_json(document: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _places(document: Mapping[str, Any], place: Path) -> Iterator[tuple[str, str]]:
    for region, addresses in document["regions"].items():
        yield region, ""
        yield "API (gateway)", addresses["api"]
        yield from addresses["services"].items()
        yield "Vault", addresses["vault"]
    if document["ca"]:
        yield "CA (TLS 1.3)", f"{document['ca']} (curl --cacert, {CA_VARIABLE})"
    yield "AWS endpoint", document["aws_endpoint"]
    yield "logs", str(place.parent / "logs")
    yield "tokens, pids", f"{place} (for {', '.join(document['tokens'])})"


def _commands(document: Mapping[str, Any], place: Path, *, with_sample: bool) -> Iterator[str]:
    binaries = Path(sys.executable).parent
    anfl = shlex.quote(str(_relative(binaries / "anfl")))
    python = shlex.quote(str(_relative(binaries / "python")))
    code = "import json, sys; print(json.load(open(sys.argv[1]))['tokens']['writer'])"
    api = document["api"]
    yield "\nA token (the AppRole of each role stands beside it, for 'anfl login' and POST /v1/auth/token):"
    yield f'  TOKEN=$({python} -c "{code}" {shlex.quote(str(_relative(place)))})'
    if with_sample:
        yield f"\nWords near a given word (2,000 {sample.LICENCE}):"
        yield f"  {anfl} vectors query {sample.COLLECTION} --id happiness -k 5 --show gloss"
    yield "\nA model, inspected before anyone can use it:"
    yield f"  {anfl} models register gloss-vectors {shlex.quote(str(_relative(sample.DATA / 'glosses.npy')))}"
    yield "\nThe API itself:"
    trust = f" --cacert {shlex.quote(str(_relative(Path(document['ca']))))}" if document["ca"] else ""
    yield f'  curl -s{trust} {api}/v1/collections -H "Authorization: Bearer $TOKEN"'


def _relative(path: Path) -> Path:
    here = Path(os.getcwd())  # noqa: PTH109 - not resolved: a virtual environment's interpreter is a link
    return path.relative_to(here) if path.is_relative_to(here) else path
