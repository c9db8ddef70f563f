"""What processes of a node tell each other of the nodes there are."""

import os
import struct

from anfl.nodes.seen import NodesSeen
from anfl.nodes.shared import NOBODY, SharedMembers

A, B = "10.0.10.1:8080", "10.0.10.2:8080"


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_one_process_publishes_the_others_read_until_it_lapses() -> None:
    clock = Time()
    shared = SharedMembers(now=clock)
    assert shared.now() == NOBODY
    child = os.fork()
    if not child:
        shared.publish(A, (A, B), seconds=15)
        os._exit(0)
    os.waitpid(child, 0)
    assert (shared.now().own, shared.now().present) == (A, (A, B))
    clock.now += 15.1
    assert shared.now() == NOBODY


def test_a_version_stands_for_one_membership_whoever_publishes_it() -> None:
    shared = SharedMembers()
    shared.publish(A, (A,), seconds=15)
    first = shared.now()
    shared.publish(A, (A,), seconds=15)
    assert shared.now().version == first.version
    child = os.fork()
    if not child:  # whoever takes the place of a process that died
        successor = SharedMembers()
        successor._memory = shared._memory
        successor.publish(A, (A, B), seconds=15)
        os._exit(0)
    os.waitpid(child, 0)
    assert shared.now().version > first.version
    assert shared.now().present == (A, B)


def test_a_torn_change_reads_as_what_was_there_before() -> None:
    shared = SharedMembers()
    shared.publish(A, (A, B), seconds=15)
    before = shared.now()
    version, until = struct.unpack_from("<Qd", shared._memory)
    struct.pack_into("<Qd", shared._memory, 0, version + 1, until)
    shared._memory[30] ^= 0xFF
    assert shared.now() == before


def test_the_nodes_that_are_seen_are_a_figure() -> None:
    shared = SharedMembers()
    collector = NodesSeen(shared.now)
    assert [family.samples[0].value for family in collector.collect()] == [0]
    shared.publish(A, (A, B), seconds=15)
    assert [family.samples[0].value for family in collector.collect()] == [2]
