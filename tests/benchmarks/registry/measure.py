"""One run: small requests in turns, then searches over many models, then memory."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

from anfl.processes import usable_cores
from tests.benchmarks.http.node import aws
from tests.benchmarks.progress import Report
from tests.benchmarks.registry import in_memory, servers
from tests.benchmarks.registry.calls import (
    Request,
    Timed,
    client,
    everything,
    in_vain,
    searches,
    small,
    timed,
    unprepared,
)
from tests.benchmarks.registry.figures import Call, Memory, Processor, RegistryFigures
from tests.benchmarks.registry.filling import TENANT, fill_mlflow
from tests.benchmarks.registry.servers import Server

MODELS = 10_000
ROUNDS = 25
WARM = 10
SEARCHES = 7


def measure(*, report: Report, models: int = MODELS, rounds: int = ROUNDS) -> RegistryFigures:
    """Measure both.

    :raises BenchmarkError: something is missing or does not work.
    """
    version = servers.version()
    with tempfile.TemporaryDirectory(prefix="bench") as name, ExitStack() as stack:
        folder = Path(name)
        database = folder / "mlflow.db"
        report("fill", 0)
        fill_mlflow(database, models)
        storage = stack.enter_context(aws(folder))
        report("fill", 1)
        with servers.service(storage, folder, workers=1) as ours, servers.mlflow(database, folder, workers=1) as theirs:
            calls = _calls(ours, theirs, rounds, report)
            processor = _processor(ours, theirs, rounds)
            with servers.in_memory(models, folder) as searched:
                found = [
                    _call(name, *_in_turns([searched] * SEARCHES, theirs, request))
                    for name, request in searches(models)
                ]
                for name, request in (*unprepared(), *in_vain()):
                    found.append(_first(name, request, searched, theirs))
                    found.append(_of_many(name, request, searched, theirs))
                    found.append(_after_changes(name, request, searched, theirs))
                found += [_third(name, request, searched, theirs) for name, request in in_vain()]
            report("searches", 1)
        workers = usable_cores()
        with (
            servers.service(storage, folder, workers=workers) as ours,
            servers.mlflow(database, folder, workers=workers) as theirs,
        ):
            for server in (ours, theirs):
                _warm(server, f"memory-{workers}")
            memory = Memory(workers=workers, service=ours.pss(), mlflow=theirs.pss())
        report("memory", 1)
    return RegistryFigures(
        models=models, mlflow_version=version, calls=calls, searches=found, processor=processor, memory=memory
    )


def _first(name: str, request: Request, ours: Server, theirs: Server) -> Call:
    """Each search is the first one of a tenant."""
    tenants = [ours.of(f"{TENANT}{uuid4().int}") for _ in range(SEARCHES)]
    return _call(f"{name}: the first search", *_in_turns(tenants, theirs, request))


def _third(name: str, request: Request, ours: Server, theirs: Server) -> Call:
    """Each search is the third one of a tenant: the second may have read everything."""
    tenants = [ours.of(f"{TENANT}{uuid4().int}") for _ in range(SEARCHES)]
    for tenant in tenants:
        timed(tenant, [request] * 2, stored=False)
    return _call(f"{name}: the third search", *_in_turns(tenants, theirs, request))


def _after_changes(name: str, request: Request, ours: Server, theirs: Server) -> Call:
    """The process knows all versions, and before each search many models have changed."""
    changing = ours.of(in_memory.changing(uuid4().int))
    timed(changing, [everything(), request], stored=False)
    found = _in_turns([changing] * SEARCHES, theirs, request)
    return _call(f"{name}: after changes of {in_memory.CHANGED} models", *found)


def _of_many(name: str, request: Request, ours: Server, theirs: Server) -> Call:
    """Of a tenant with more versions than are kept: for each search they are read."""
    many = ours.of(in_memory.MANY)
    timed(many, [request], stored=False)
    return _call(f"{name}: of more than are kept", *_in_turns([many] * SEARCHES, theirs, request))


def _in_turns(ours: Sequence[Server], theirs: Server, request: Request) -> tuple[Timed, Timed]:
    """The same request at each of ``ours``, and after each of them at ``theirs``: what else goes on slows both."""
    found = Timed(), Timed()
    with ExitStack() as stack:
        connections = {server: stack.enter_context(client(server)) for server in {*ours, theirs}}
        for each in ours:
            for server, times in zip((each, theirs), found, strict=True):
                times.whole.append(request.milliseconds(connections[server]))
    return found


def _calls(ours: Server, theirs: Server, rounds: int, report: Report) -> list[Call]:
    """Each kind of request once a round, at one server and at the other."""
    for server in (ours, theirs):
        for number in range(WARM):
            _warm(server, f"warm-{number}")
    names = [name for name, _ in small("")]
    whole: dict[str, tuple[Timed, Timed]] = {name: (Timed(), Timed()) for name in names}
    for number in range(rounds):
        report("small requests", number / rounds)
        for side, server in enumerate((ours, theirs)):
            requests = small(f"small-{number}")
            found = timed(server, [request for _, request in requests], stored=server is ours)
            for position, (name, _) in enumerate(requests):
                whole[name][side].whole.append(found.whole[position])
                whole[name][side].store.extend(found.store[position : position + 1])
    report("small requests", 1)
    return [_call(name, *whole[name]) for name in names]


def _processor(ours: Server, theirs: Server, rounds: int) -> Processor:
    spent: list[float] = []
    for server in (ours, theirs):
        before = server.processor_seconds()
        count = 0
        with client(server) as connection:
            for number in range(rounds):
                for _, request in small(f"processor-{number}"):
                    request.send(connection)
                    count += 1
        spent.append(1000 * (server.processor_seconds() - before) / count)
    return Processor(service=spent[0], mlflow=spent[1])


def _warm(server: Server, name: str) -> None:
    with client(server) as connection:
        for _, request in small(name):
            request.send(connection)


def _call(name: str, ours: Timed, theirs: Timed) -> Call:
    service, store = ours.median()
    return Call(name=name, service=service, store=store, mlflow=theirs.median()[0])
