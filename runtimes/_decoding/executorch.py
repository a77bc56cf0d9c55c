"""Decoding in ExecuTorch: keys and values lie in the program's own buffers, of a size that the file says.

They cannot be read from outside: what stands for a cache is the tokens, which are read again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.contracts.decoder import Decoder
from edgewright.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import TensorSpec

__all__ = ["ExecutorchDecoder", "number"]


class ExecutorchDecoder(Decoder):
    """A program as `converters/_executorch/decoder.py` writes it."""

    def __init__(
        self, program: Any, name: str, context: int, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
    ) -> None:
        import torch

        self.inputs, self.outputs = inputs, outputs
        room, chunk = (number(program, name, method) for method in ("get_max_context_len", "get_max_seq_len"))
        (logits,) = outputs
        if not isinstance(logits.shape[-1], int):
            raise EngineError(f"{name} has logits of no known vocabulary", hint="make it with edgewright build")
        super().__init__(logits.shape[-1], min(context, room))
        self._program, self._forward, self._chunk = program, program.load_method("forward"), chunk
        self._tensor = torch.from_numpy
        self._tokens = np.zeros(self.context, np.int64)
        self._start = np.zeros(1, np.int64)

    def _run(self, ids: NDArray[np.int64], kept: int) -> NDArray[np.float32]:
        parts = [self._read(ids[at : at + self._chunk], self.length + at) for at in range(0, len(ids), self._chunk)]
        self._tokens[self.length : self.length + len(ids)] = ids
        last = parts[-1]
        found: NDArray[np.float32] = last if kept <= len(last) else np.concatenate(parts)
        return found[-kept:]

    def _read(self, ids: NDArray[np.int64], start: int) -> NDArray[np.float32]:
        """Logits (n, vocabulary), a copy: the engine's own buffer is written by the next call."""
        self._start[0] = start
        given = [self._tensor(np.ascontiguousarray(ids[None])), self._tensor(self._start)]
        (logits,) = self._forward(given)
        found: NDArray[np.float32] = logits.numpy()[0].copy()
        return found

    def _keys_and_values(self, length: int) -> list[NDArray[Any]]:
        return [self._tokens[:length].copy()]

    def _take(self, arrays: Sequence[NDArray[Any]], length: int) -> None:
        self.length = 0
        (tokens,) = arrays
        known = tokens.dtype == np.int64 and tokens.shape == (length,)
        if not known or not ((tokens >= 0) & (tokens < self.vocabulary)).all():
            raise ValueError(f"{tokens.dtype} {tokens.shape}, int64 {(length,)} below {self.vocabulary} is wanted")
        for at in range(0, length, self._chunk):
            self._read(tokens[at : at + self._chunk], at)
        self._tokens[:length] = tokens


def number(program: Any, name: str, method: str) -> int:
    """What a method without inputs says. Raises EngineError."""
    names = {program.get_method_name(at) for at in range(program.num_methods())}
    found = program.load_method(method)([])[0] if method in names else None
    if type(found) is not int or found < 1:
        what = f"{name} says {method} {found}"
        raise EngineError(f"{what}, a number of tokens is wanted", hint="make it with edgewright build")
    return found
