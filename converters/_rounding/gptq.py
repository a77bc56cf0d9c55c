"""Rounding weights to 4 bits, a scale for each block: GPTQ for matrix products, least squares for tables.

GPTQ is Frantar et al. 2022, arXiv 2210.17323, algorithm 1. Scales are exact in float16, those of symmetric
blocks in bfloat16. A block that lies on a grid already, as quantization-aware training leaves it, stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import numpy.typing as npt

    _Array: TypeAlias = npt.NDArray[Any]

__all__ = ["Moments", "own_scales", "round_blocks", "round_rows", "round_shifted"]

_DAMPING = 0.01
"""Of the mean of the diagonal, as in GPTQ (Frantar et al. 2022, section 3)."""
_TOKENS_AT_ONCE = 1024
"""Few large products instead of many small ones; 1024 tokens of the widest activations are a few MiB a layer."""
_SMALLEST = 2.0**-14
"""float16's smallest normal number."""
_LAST_BITS = 2.0**-21
"""Of the largest weight of a block: more than one product's rounding."""


class Moments:
    """X^T X of activations X (tokens, inputs), by any name, and what GPTQ makes of them."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[_Array]] = {}
        self._found: dict[Hashable, _Array] = {}
        self._factors: dict[frozenset[Hashable], _Array] = {}

    def add(self, name: Hashable, x: _Array) -> None:
        """Take activations, float32 (tokens, inputs); those of many texts are multiplied at once."""
        waiting = self._waiting.setdefault(name, [])
        waiting.append(x)
        if sum(map(len, waiting)) >= _TOKENS_AT_ONCE:
            self._multiply(name)

    def strength(self, name: Hashable) -> _Array:
        """The root of the sum of squares of each of the inputs, float32 (inputs,)."""
        import numpy as np

        self._multiply(name)
        return np.sqrt(self._found[name].diagonal()).astype(np.float32)

    def factor(self, *names: Hashable) -> _Array:
        """What `round_blocks` wants of a weight that meets these activations, float32 (inputs, inputs)."""
        import numpy as np

        key = frozenset(names)
        if key not in self._factors:
            for name in list(self._waiting):
                self._multiply(name)
            # Summed in the order in which they came: a set of names has another in every process
            moments = [moment for name, moment in self._found.items() if name in key]
            self._factors[key] = _inverse_factor(np.sum(moments, axis=0))
        return self._factors[key]

    def _multiply(self, name: Hashable) -> None:
        import numpy as np

        if waiting := self._waiting.pop(name, []):
            x = np.concatenate(waiting)
            moment = (x.T @ x).astype(np.float64)
            self._found[name] = self._found[name] + moment if name in self._found else moment


def round_blocks(
    weight: _Array, factor: _Array, size: int, *, symmetric: bool = False
) -> tuple[_Array, _Array, _Array]:
    """(inputs, outputs) -> codes uint8 0..15 (outputs, blocks, size), scales float32 and zeros uint8 (outputs, blocks).

    `factor` is that of `Moments`. With `symmetric` every zero is 8.
    """
    import numpy as np

    inputs, outputs = weight.shape
    rest = _padded(np.ascontiguousarray(weight.T), size)
    blocks = rest.shape[1] // size
    grid = _symmetric_grid if symmetric else _grid
    codes = np.zeros((outputs, blocks, size), np.uint8)
    scales, zeros = np.zeros((outputs, blocks), np.float32), np.zeros((outputs, blocks), np.uint8)
    for block in range(blocks):
        start, end = block * size, min(block * size + size, inputs)
        scale, zero = grid(rest[:, start : start + size])
        codes[:, block] = zero[:, None]  # what pads the last block is zero
        errors = _round_block(rest[:, start:end], codes[:, block], scale, zero, factor[start:end, start:end])
        rest[:, end:inputs] -= errors @ factor[start:end, end:]
        scales[:, block], zeros[:, block] = scale, zero
    return codes, scales, zeros


def round_shifted(weight: _Array, factor: _Array, size: int) -> tuple[_Array, _Array, _Array]:
    """(inputs, outputs) -> codes uint8 0..15 (outputs, blocks, size), scales and shifts float32 (outputs, blocks).

    A weight is (code - 8) * scale + shift, for engines whose blocks have no zero points: what shifts give is a product
    with the sums of the inputs of blocks. Scales are exact in bfloat16; `size` divides the inputs; `factor` is that of
    `Moments`.
    """
    import numpy as np

    inputs, outputs = weight.shape
    rest, blocks = weight.T.astype(np.float32), inputs // size
    codes = np.zeros((outputs, blocks, size), np.uint8)
    scales, shifts = np.zeros((outputs, blocks), np.float32), np.zeros((outputs, blocks), np.float32)
    for block in range(blocks):
        start, end = block * size, block * size + size
        scale, shift = _shifted_grid(rest[:, start:end])
        moved = rest[:, start:end] - shift[:, None]
        eight = np.full_like(scale, 8)
        errors = _round_block(moved, codes[:, block], scale, eight, factor[start:end, start:end])
        rest[:, end:] -= errors @ factor[start:end, end:]
        scales[:, block], shifts[:, block] = scale, shift
    return codes, scales, shifts


def _round_block(rest: _Array, codes: _Array, scale: _Array, zero: _Array, factor: _Array) -> _Array:
    """Round a block (outputs, inputs) column by column into `codes`; the errors, in units of the factor's diagonal."""
    import numpy as np

    errors = np.zeros_like(rest)
    for at in range(rest.shape[1]):
        code = np.clip(np.rint(rest[:, at] / scale) + zero, 0, 15)
        codes[:, at] = code
        errors[:, at] = (rest[:, at] - (code - zero) * scale) / factor[at, at]
        rest[:, at + 1 :] -= errors[:, at : at + 1] * factor[at, at + 1 :]
    return errors


def _inverse_factor(moment: _Array) -> _Array:
    """The upper Cholesky factor of the inverse of the damped `moment`, float32."""
    import numpy as np

    diagonal = np.diag(moment)
    extra = _DAMPING * diagonal.mean() if diagonal.any() else 1.0  # a layer that no text reaches is rounded plainly
    inverse = np.linalg.inv(moment + extra * np.eye(len(moment)))
    return np.linalg.cholesky((inverse + inverse.T) / 2).T.astype(np.float32)


def _grid(block: _Array) -> tuple[_Array, _Array]:
    """Scale and zero point, float32 (outputs,), of a block (outputs, size): of nine tried those of least error."""
    import numpy as np

    low, high = np.minimum(block.min(1), 0), np.maximum(block.max(1), 0)
    tried = []
    for part in np.linspace(1, 0.7, 9, dtype=np.float32):
        scale = _in_half((high - low) * (part / 15))
        tried.append((scale, np.clip(np.rint(-low * part / scale), 0, 15)))
    return _best(block, tried)


def _symmetric_grid(block: _Array) -> tuple[_Array, _Array]:
    """Scale, exact in bfloat16, and a zero point of 8, both float32 (outputs,), for a block (outputs, size)."""
    import numpy as np

    largest = np.maximum(block.max(1) / 7, -block.min(1) / 8)
    tried = [_in_bfloat16(largest * part) for part in np.linspace(1.1, 0.7, 9, dtype=np.float32)]
    return _best(block, [(scale, np.full_like(scale, 8)) for scale in tried])


def _shifted_grid(block: _Array) -> tuple[_Array, _Array]:
    """Scale, exact in bfloat16, and shift, float32 (outputs,), of a block (outputs, size): the best of ten."""
    import numpy as np

    low, high, found = block.min(1), block.max(1), []
    for part in np.linspace(1, 0.7, 9, dtype=np.float32):
        scale = _in_bfloat16((high - low) * (part / 15))
        found.append((scale, (low + high + scale) / 2))  # codes lie between -8 and 7
    own = own_scales(block)
    found.append((np.where(own > 0, own, found[0][0]), np.where(own > 0, np.float32(0), found[0][1])))
    errors = []
    for scale, shift in found:
        moved = block - shift[:, None]
        codes = np.clip(np.rint(moved / scale[:, None]), -8, 7)
        errors.append(np.square(codes * scale[:, None] - moved).sum(1))
    best = np.stack(errors).argmin(0)[None]
    scale, shift = (np.take_along_axis(np.stack(part), best, 0)[0] for part in zip(*found, strict=True))
    return scale, shift


def _best(block: _Array, tried: Sequence[tuple[_Array, _Array]]) -> tuple[_Array, _Array]:
    """Of the (scale, zero) tried, for each output the pair of least squared error; a grid of its own goes first."""
    import numpy as np

    errors = []
    for scale, zero in tried:
        codes = np.clip(np.rint(block / scale[:, None]) + zero[:, None], 0, 15)
        errors.append(np.square((codes - zero[:, None]) * scale[:, None] - block).sum(1))
    best = np.stack(errors).argmin(0)[None]
    scales, zeros = (np.stack(part) for part in zip(*tried, strict=True))
    scale, zero = np.take_along_axis(scales, best, 0)[0], np.take_along_axis(zeros, best, 0)[0]
    own = own_scales(block)
    return np.where(own > 0, own, scale), np.where(own > 0, np.float32(8), zero)


def own_scales(block: _Array) -> _Array:
    """float32 (n,) for blocks (n, size): where all weights are -8..7 times one bfloat16 number, that; else 0.

    A constant that an exporter multiplied into such weights left them times any number, which is rounded.
    """
    import numpy as np

    exact, near = np.zeros(len(block), np.float32), np.zeros(len(block), np.float32)
    largest = np.abs(block).max(1)
    for code in range(1, 9):
        scale = np.maximum(largest / np.float32(code), _SMALLEST)
        half = _in_bfloat16(scale)
        exact = np.where((largest > 0) & (_distance(block, half) == 0), half, exact)
        near = np.where((largest > 0) & (_distance(block, scale) <= _LAST_BITS * largest), half, near)
    return np.where(exact > 0, exact, near)


def _distance(block: _Array, scale: _Array) -> _Array:
    """How far the weights of each block (n, size) are at most from -8..7 times its scale (n,)."""
    import numpy as np

    codes = np.clip(np.rint(block / scale[:, None]), -8, 7)
    furthest: _Array = np.abs(codes * scale[:, None] - block).max(1)
    return furthest


def round_rows(rows: _Array, size: int, *, symmetric: bool = False) -> tuple[_Array, _Array, _Array]:
    """A table (n, width) -> codes uint8 0..15 (n, width), scales float32 and zero points uint8 (n, blocks).

    With `symmetric` every zero is 8.
    """
    import numpy as np

    parts = _padded(rows, size).reshape(-1, size)
    scale, zero = (_symmetric_grid if symmetric else _grid)(parts)
    codes = np.clip(np.rint(parts / scale[:, None]) + zero[:, None], 0, 15).astype(np.uint8)
    kept = codes.reshape(len(rows), -1)[:, : rows.shape[1]]
    return kept, scale.reshape(len(rows), -1), zero.astype(np.uint8).reshape(len(rows), -1)


def _padded(rows: _Array, size: int) -> _Array:
    """(n, width) -> float32 (n, a multiple of `size`), zeros at the end."""
    import numpy as np

    return np.pad(rows.astype(np.float32), ((0, 0), (0, -rows.shape[1] % size)))


def _in_half(scale: _Array) -> _Array:
    """Positive scales rounded to what float16 holds, as float32."""
    import numpy as np

    return np.clip(scale, _SMALLEST, 65504.0).astype(np.float16).astype(np.float32)


def _in_bfloat16(scale: _Array) -> _Array:
    """Positive scales rounded to what bfloat16 holds, the upper half of a float32, as float32."""
    import numpy as np

    bits = np.maximum(scale, _SMALLEST).astype(np.float32).view(np.uint32)
    rounded: _Array = ((bits + np.uint32(0x8000)) & np.uint32(0xFFFF0000)).view(np.float32)
    return rounded
