"""A .pte file's instructions, of a program that is laid out by hand as flatbuffers are."""

import struct

import pytest

from edgewright.errors import EngineError
from edgewright.runtimes._profilers import executorch
from edgewright.runtimes._profilers.pte import Call, Method


class Builder:
    """Tables front to back: each has its types before it, and its children behind, where an offset is not signed."""

    def __init__(self):
        self.data = bytearray(8)

    def put(self, at, there):
        struct.pack_into("<I", self.data, at, there - at)

    def table(self, fields):
        """Fields by number: bytes of four or one, or a call that makes a child and gives its place."""
        most = max(fields, default=-1) + 1
        types = len(self.data)
        self.data += struct.pack("<HH", 4 + 2 * most, 4 + 4 * most) + bytes(2 * most)
        self.data += bytes(-len(self.data) % 4)
        start = len(self.data)
        self.data += struct.pack("<i", start - types) + bytes(4 * most)
        for number, value in fields.items():
            struct.pack_into("<H", self.data, types + 4 + 2 * number, 4 + 4 * number)
            at = start + 4 + 4 * number
            if callable(value):
                self.put(at, value())
            else:
                self.data[at : at + len(value)] = value
        return start

    def text(self, words):
        return lambda: self._raw(struct.pack("<I", len(words)) + words.encode() + bytes(4 - len(words) % 4))

    def _raw(self, data):
        start = len(self.data)
        self.data += data
        return start

    def many(self, makers):
        def made():
            start = self._raw(struct.pack("<I", len(makers)) + bytes(4 * len(makers)))
            for at, make in enumerate(makers):
                self.put(start + 4 + 4 * at, make())
            return start

        return made


KERNEL, DELEGATE, JUMP, FREE = 1, 2, 4, 5


def program(steps, name="forward"):
    """A program of one method: `steps` are (kind, index of the operator or delegate)."""
    made = Builder()

    def step(kind, index):
        call = lambda: made.table({0: struct.pack("<i", index)} if index else {})  # noqa: E731 - 0 is left out
        return lambda: made.table({0: bytes([kind]), 1: call})

    named = lambda words: lambda: made.table({0: made.text(words)})  # noqa: E731
    chain = lambda: made.table({2: made.many([step(*one) for one in steps])})  # noqa: E731
    plan = lambda: made.table(  # noqa: E731
        {
            0: made.text(name),
            5: made.many([chain]),
            6: made.many([named("aten::add"), named("aten::embedding")]),
            7: made.many([named("XnnpackBackend")]),
        }
    )
    made.put(0, made.table({1: made.many([plan])}))
    return bytes(made.data)


def test_calls_are_read_with_what_runs_them():
    method = Method(program([(KERNEL, 1), (DELEGATE, 0), (KERNEL, 0), (FREE, 0)]), "forward")
    assert method.calls == [
        Call("aten::embedding", ""),
        Call("XnnpackBackend", "XnnpackBackend"),
        Call("aten::add", ""),
        Call("FreeCall", ""),
    ]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_program_that_is_cut_short_is_one(count):
    data = program([(KERNEL, 1), (DELEGATE, 0), (KERNEL, 0)])
    whole = Method(data, "forward")
    assert Method(whole.first(count), "forward").calls == whole.calls[:count]
    assert sum(a != b for a, b in zip(data, whole.first(count), strict=True)) == (count != 3)


def test_what_is_not_timed_is_said():
    with pytest.raises(EngineError, match="has 0 chains of instructions in 'backward', one is read"):
        Method(program([(KERNEL, 0)]), "backward")
    with pytest.raises(EngineError, match="has branches"):
        Method(program([(JUMP, 0)]), "forward")
    with pytest.raises(struct.error):
        Method(program([(KERNEL, 0)])[:60], "forward")


def test_times_that_fall_are_noise():
    assert executorch._rising([1.0, 3.0, 2.0, 9.0, 5.0]) == [1.0, 3.0, 3.0, 5.0, 5.0]


def test_an_instruction_takes_what_its_program_takes_longer_than_the_one_before(tmp_path, monkeypatch):
    """By a clock that each program moves on as far as its instructions cost."""
    clock, costs_ns = [0], {"aten::embedding": 2_000_000, "XnnpackBackend": 7_000_000, "FreeCall": 0}
    monkeypatch.setattr(executorch.time, "perf_counter_ns", lambda: clock[0])
    path = tmp_path / "whole.pte"
    path.write_bytes(program([(KERNEL, 1), (DELEGATE, 0), (KERNEL, 1), (FREE, 0)]))

    def opened(cut):
        cost_ns = 500_000 + sum(costs_ns[call.name] for call in Method(cut.read_bytes(), "forward").calls)
        return lambda: clock.__setitem__(0, clock[0] + cost_ns)

    found = executorch.trace(path, opened, opened(path), runs=3)
    assert [(one.kind, one.ran_by, one.start_ms, one.time_ms) for one in found.operators] == [
        ("aten::embedding", "", 0.5, 2.0),
        ("XnnpackBackend", "XnnpackBackend", 2.5, 7.0),
        ("aten::embedding", "", 9.5, 2.0),
        ("FreeCall", "", 11.5, 0.0),
    ]
    assert (found.run_ms, found.plain_ms, found.rest_ms) == (11.5, 11.5, 0.5)
