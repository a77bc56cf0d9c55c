"""The instructions of a .pte file, and the file cut short after some of them.

Read as flatbuffers lie in memory, by the fields of executorch's program.fbs: classes for it come with the exporter
alone.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from edgewright.errors import EngineError

__all__ = ["Call", "Method"]

_PLANS = 1
"""Field of Program in ExecuTorch's program.fbs: execution_plan."""
_NAME, _CHAINS, _OPERATORS, _DELEGATES = 0, 5, 6, 7
"""Fields of ExecutionPlan."""
_INSTRUCTIONS = 2
"""Field of Chain."""
_KINDS = ("", "KernelCall", "DelegateCall", "MoveCall", "JumpFalseCall", "FreeCall")


class Call(NamedTuple):
    """An instruction: what it calls, and the backend that runs it, "" for a kernel of executorch's own."""

    name: str
    delegate: str


class Method:
    """A method of a program.

    Attributes:
        calls: its instructions in their order.

    Raises:
        EngineError: there is no such method, or it has branches.
        struct.error: the file is damaged.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        plans = self._many(self._child(0), _PLANS)
        plan = next((plan for plan in plans if self._text(plan, _NAME) == name), None)
        chains = self._many(plan, _CHAINS) if plan else []
        if plan is None or len(chains) != 1:
            raise EngineError(f"the program has {len(chains)} chains of instructions in {name!r}, one is read")
        operators, delegates = self._many(plan, _OPERATORS), self._many(plan, _DELEGATES)
        self._count_at = self._child(self._field(chains[0], _INSTRUCTIONS))
        self.calls = [self._call(step, operators, delegates) for step in self._many(chains[0], _INSTRUCTIONS)]

    def first(self, count: int) -> bytes:
        """The program with only the first `count` instructions of the method: a vector begins with its length."""
        end = self._count_at + 4
        return self._data[: self._count_at] + struct.pack("<I", count) + self._data[end:]

    def _call(self, step: int, operators: list[int], delegates: list[int]) -> Call:
        kind, what = _KINDS[self._data[self._field(step, 0)]], self._child(self._field(step, 1))
        at = self._field(what, 0)
        index = struct.unpack_from("<i", self._data, at)[0] if at else 0
        if kind == "JumpFalseCall":
            raise EngineError("the program has branches, and is not timed instruction by instruction")
        if kind == "DelegateCall":
            backend = self._text(delegates[index], 0)
            return Call(backend, backend)
        return Call(self._text(operators[index], 0) if kind == "KernelCall" else kind, "")

    def _word(self, at: int) -> int:
        word: int = struct.unpack_from("<I", self._data, at)[0]
        return word

    def _child(self, at: int) -> int:
        return at + self._word(at)

    def _field(self, table: int, number: int) -> int:
        """Where a field of a table lies, 0 for one that is left at its default."""
        types = table - struct.unpack_from("<i", self._data, table)[0]
        size = struct.unpack_from("<H", self._data, types)[0]
        place = 4 + 2 * number
        offset = struct.unpack_from("<H", self._data, types + place)[0] if place < size else 0
        return table + offset if offset else 0

    def _many(self, table: int, number: int) -> list[int]:
        """The tables of a vector."""
        at = self._field(table, number)
        if not at:
            return []
        vector = self._child(at)
        return [self._child(vector + 4 + 4 * index) for index in range(self._word(vector))]

    def _text(self, table: int, number: int) -> str:
        at = self._child(self._field(table, number))
        return self._data[at + 4 : at + 4 + self._word(at)].decode(errors="replace")
