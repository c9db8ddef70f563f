"""``python -m services.vector_store``: serve until SIGTERM."""

import os
from functools import partial

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a worker has one core; read when numpy is imported

from anfl import allocator, environment
from anfl.http.serve import Behind, Listen, serve
from anfl.nodes.seen import NodesSeen
from anfl.nodes.shared import SharedMembers
from anfl.telemetry.metrics import Metrics
from anfl.telemetry.vectors import VectorMetrics
from anfl.vectors import build as vectors
from anfl.vectors.node_memory import NodeMemory
from services.vector_store.app import building, creator, importers, publishing, writing

if __name__ == "__main__":
    allocator.give_back()
    stores = vectors.on_a_node(environment.load(vectors.Settings))
    listen, members = environment.load(Listen), SharedMembers()
    metrics = Metrics(collectors=[NodesSeen(members.now)])
    events, memory = VectorMetrics(metrics), NodeMemory.shared()
    create, behind = creator(stores, metrics, events, memory, members), Behind()
    beside = [
        writing(create, behind),
        publishing(members, listen),
        building(stores, events),
        importers(stores, memory, events),
    ]
    serve(partial(create, behind.address), listen, beside=beside)
