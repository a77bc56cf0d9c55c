"""What the bisector converts: a model that also returns what its layers give, and what eager and export make of it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgewright import registry
from edgewright.converters._model import eager as _eager
from edgewright.converters._model.jobs import attempt, read_spec
from edgewright.proof.bisect import PrepareAnswer
from edgewright.system import arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.proof.bisect import PrepareRequest

__all__ = ["Tapped", "find", "prepare"]


class Tapped(_eager.Eager):
    """An eager model whose outputs are followed by those of the modules `taps`: (name, which of its calls)."""

    def __init__(self, eager: _eager.Eager, taps: Sequence[tuple[str, int]]) -> None:
        names = [f"tap_{at}" for at in range(len(taps))]
        super().__init__(eager.model, eager.inputs, (*eager.outputs, *names))
        self.taps, self._plain = list(taps), eager.outputs
        self._seen: dict[tuple[str, int], torch.Tensor] = {}
        self._calls: dict[str, int] = {}
        wanted = {name for name, _ in taps}
        for name, module in eager.model.named_modules():
            if name in wanted:
                module.register_forward_hook(self._hook(name))

    def _hook(self, name: str) -> Callable[..., None]:
        def keep(_: Any, __: Any, given: Any) -> None:
            call = self._calls.get(name, 0)
            self._calls[name] = call + 1
            self._seen[name, call] = _tensor(given)

        return keep

    def forward(self, *arrays: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run the model; its outputs, then the taps in their order."""
        self._calls.clear()
        given = self.pick(arrays, self._plain)
        # Views of one tensor would be one output to an exporter
        taps = tuple(self._seen[tap].clone() for tap in self.taps)
        self._seen.clear()
        return (*given, *taps)


def _tensor(given: Any) -> Any:
    while isinstance(given, tuple | list) and given:
        given = given[0]
    return given if isinstance(given, torch.Tensor) else getattr(given, "last_hidden_state", None)


def find(eager: _eager.Eager, example: Mapping[str, NDArray[Any]], below: str) -> list[tuple[str, int]]:
    """The modules with float outputs (batch, length or 1, width), as (name, call), in the order of calls.

    Without `below`, what comes before the stack of layers, and the layers; with it, everything inside that module. A
    tensor that several modules hand on, as a dropout does, counts for the first: a file with two names for one output
    is nothing that every engine opens. A table of positions, the same for every text, is none of them: of two texts it
    has one row.
    """
    seen: list[tuple[str, int]] = []
    example = {name: np.repeat(array[:1], 2, axis=0) for name, array in example.items()}
    length = next(iter(example.values())).shape[1]
    shapes = ((2, length), (2, 1))  # the last layer of a classifier has the first token's row alone
    given: list[torch.Tensor] = []
    handles = []
    for name, module in eager.model.named_modules():
        if name and (name.startswith(f"{below}.") if below else _is_coarse(name)):
            handles.append(module.register_forward_hook(_recorder(name, seen, given, shapes)))
    outputs = _eager.run(eager, example)
    for handle in handles:
        handle.remove()
    returned = {array.ctypes.data for array in outputs.values()}
    return [tap for tap, tensor in zip(seen, given, strict=True) if tensor.data_ptr() not in returned]


def _is_coarse(name: str) -> bool:
    """A layer of a stack, such as `encoder.layer.3`, or the embeddings."""
    last = name.rpartition(".")[2]
    return last.isdecimal() or last == "embeddings"


def _recorder(
    name: str, seen: list[tuple[str, int]], given: list[torch.Tensor], shapes: tuple[tuple[int, int], ...]
) -> Callable[..., None]:
    calls = itertools.count()

    def record(_: Any, __: Any, returned: Any) -> None:
        tensor, call = _tensor(returned), next(calls)
        if tensor is None or not tensor.is_floating_point() or tensor.dim() != 3 or tensor.shape[:2] not in shapes:
            return
        if all(tensor.data_ptr() != other.data_ptr() or tensor.shape != other.shape for other in given):
            seen.append((name, call))
            given.append(tensor)

    return record


def prepare(request: PrepareRequest, progress: Callable[[str], None]) -> PrepareAnswer:
    """Tap the model, run it eager and, where there is an export, exported, and convert it."""
    torch.set_num_threads(request.threads)
    model = _eager.load_to_convert(request.source)
    converter = registry.load("converters", request.format)()
    batches = arrays.load(request.feeds)
    spec = read_spec(request, model)
    tapped = Tapped(model, find(model, {n: batches[0][n] for n in model.inputs}, request.below))
    arrays.save(request.eager, [_eager.run(tapped, batch) for batch in batches])
    _run_exported(tapped, spec.example, batches, request.export)
    spec = replace(spec, outputs=tapped.outputs)
    errors = tuple(attempt(converter, tapped, spec, wanted, progress) for wanted in request.artifacts)
    return PrepareAnswer(tuple(_title(tap) for tap in tapped.taps), errors)


def _title(tap: tuple[str, int]) -> str:
    return tap[0] if not tap[1] else f"{tap[0]} (call {tap[1] + 1})"


def _run_exported(model: Tapped, example: Mapping[str, Any], batches: Sequence[Any], out: Path) -> None:
    """Run the `torch.export` program of `model` in torch; what departs here, no converter can mend.

    Where there is none, nothing is written: a format that does not go this way may still convert.
    """
    free = torch.export.Dim.DYNAMIC
    tensors = tuple(torch.from_numpy(example[name]) for name in model.inputs)
    try:
        program = torch.export.export(model, tensors, dynamic_shapes=(tuple({0: free, 1: free} for _ in tensors),))
        again = _Program(program.module(), model.inputs, model.outputs)
        outputs = [_eager.run(again, batch) for batch in batches]
    except Exception:  # noqa: BLE001 - an exporter raises what it likes
        return
    arrays.save(out, outputs)


class _Program(_eager.Eager):
    """An exported program, called by position."""

    def forward(self, *arrays: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run the program."""
        return tuple(self.model(*arrays))
