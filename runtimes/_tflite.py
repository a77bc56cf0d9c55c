"""TFLite files in sessions: which signature takes a text, what each input and output means; shared by the engines.

Works on the project's own files, which have a signature for each bucket of lengths, and on others': one signature or
none, other names of inputs, a free length, int64 inputs, integer outputs.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from edgewright.bundle.manifest import TensorSpec
from edgewright.contracts.engine import Session
from edgewright.errors import EngineError
from edgewright.runtimes._quiet import quiet
from edgewright.text.buckets import pad, pick, rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "Graph",
    "InterpreterGraph",
    "Program",
    "Tensor",
    "TfliteSession",
    "check_magic",
    "chosen",
    "graphs_of",
]

_MAGIC = b"TFL3"
_ALIASES = {
    "attention_mask": ("mask",),
    "token_type_ids": ("token_type", "segment", "type_ids"),
    "input_ids": ("input_ids", "word_ids", "ids"),
}
"""What the inputs of others are called, the more telling words first."""


class Tensor(Struct, frozen=True):
    """An input or output as a file declares it: -1 is a free dimension; a scale of 0 says that it is not quantized."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float = 0.0
    zero_point: int = 0

    def real(self, array: NDArray[Any]) -> NDArray[Any]:
        """The numbers that the integers of a quantized output stand for; others as they are."""
        if not self.scale:
            return array
        return ((array.astype(np.float32) - self.zero_point) * np.float32(self.scale)).astype(np.float32)


class Graph(ABC):
    """One signature of an opened file."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @abstractmethod
    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Arrays by the file's own input names -> arrays by its output names."""


class InterpreterGraph(Graph):
    """A signature in an interpreter, or with `key` None the file's first subgraph."""

    def __init__(self, interpreter: Any, key: str | None) -> None:
        self._interpreter = interpreter
        self._runner = interpreter.get_signature_runner(key) if key is not None else None
        if self._runner:
            inputs, outputs = self._runner.get_input_details(), self._runner.get_output_details()
        else:
            inputs, outputs = (
                {detail["name"]: detail for detail in details}
                for details in (interpreter.get_input_details(), interpreter.get_output_details())
            )
        self._indices = {name: detail["index"] for name, detail in (inputs | outputs).items()}
        self.inputs = tuple(_tensor(name, detail) for name, detail in inputs.items())
        self.outputs = tuple(_tensor(name, detail) for name, detail in outputs.items())
        self._shapes: dict[str, tuple[int, ...]] = {}

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `Graph.run`."""
        shapes = {name: array.shape for name, array in feeds.items()}
        with contextlib.nullcontext() if shapes == self._shapes else quiet():
            found: dict[str, NDArray[Any]] = self._runner(**feeds) if self._runner else self._invoke(feeds, shapes)
        self._shapes = shapes
        return found

    def _invoke(
        self, feeds: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
    ) -> dict[str, NDArray[Any]]:
        if shapes != self._shapes:
            for name, shape in shapes.items():
                self._interpreter.resize_tensor_input(self._indices[name], shape)
            self._interpreter.allocate_tensors()
        for name, array in feeds.items():
            self._interpreter.set_tensor(self._indices[name], array)
        self._interpreter.invoke()
        return {tensor.name: self._interpreter.get_tensor(self._indices[tensor.name]) for tensor in self.outputs}


def graphs_of(interpreter: Any) -> list[Graph]:
    """Every signature of the file in an interpreter, or its first subgraph where it has none."""
    keys: list[str | None] = list(interpreter.get_signature_list()) or [None]
    return [InterpreterGraph(interpreter, key) for key in keys]


def _tensor(name: str, detail: Mapping[str, Any]) -> Tensor:
    scales, zeros = (detail["quantization_parameters"][part] for part in ("scales", "zero_points"))
    shape = detail["shape_signature"] if len(detail["shape_signature"]) else detail["shape"]
    quantized = len(scales) == 1
    return Tensor(
        name,
        tuple(int(dim) for dim in shape),
        np.dtype(detail["dtype"]),
        float(scales[0]) if quantized else 0.0,
        int(zeros[0]) if quantized else 0,
    )


class Program:
    """The signatures of a file by the length that they take; a length of -1 takes any. Those in `only`, if given.

    Raises:
        EngineError: no signature takes one row of token ids, or none is of a length in `only`.
    """

    def __init__(self, graphs: Sequence[Graph], only: Sequence[int] = ()) -> None:
        fits = [graph for graph in graphs if _takes_one_row(graph)]
        if not fits:
            shapes = ", ".join(f"{t.name} {list(t.shape)}" for t in graphs[0].inputs) if graphs else "none"
            raise EngineError(f"no signature takes one row of token ids; the inputs are {shapes}")
        self.graphs = {graph.inputs[0].shape[1]: graph for graph in fits}
        self.lengths = sorted(length for length in self.graphs if length > 0 and (not only or length in only))
        if not set(only) <= set(self.lengths):
            has = ", ".join(map(str, sorted(self.graphs)))
            raise EngineError(f"lengths {', '.join(map(str, only))} were chosen, the file has {has}", hint="race again")
        first = next(iter(self.graphs.values()))
        self.names = _feed_names(first.inputs)
        self.token_axis = {t.name: self._per_token(at, t) for at, t in enumerate(first.outputs)}

    def _per_token(self, at: int, tensor: Tensor) -> bool:
        """Whether dimension 1 of an output is the length; with one length a class count could look like it."""
        shapes = [(length, graph.outputs[at].shape) for length, graph in self.graphs.items()]
        if any(len(shape) < 2 or shape[1] != length for length, shape in shapes):
            return False
        return len(shapes) > 1 or len(tensor.shape) > 2 or tensor.name.endswith("_logits")

    def choose(self, length: int) -> tuple[Graph, int]:
        """The signature for a text of `length` tokens, and the length that it is padded to."""
        if -1 in self.graphs:
            return self.graphs[-1], length
        bucket = pick(self.lengths, length)
        return self.graphs[bucket], bucket


def _takes_one_row(graph: Graph) -> bool:
    return bool(graph.inputs) and all(
        len(t.shape) == 2 and t.shape[0] in (1, -1) and t.shape[1] == graph.inputs[0].shape[1] for t in graph.inputs
    )


def _feed_names(inputs: Sequence[Tensor]) -> dict[str, str]:
    """The file's name of each input -> the tokenizer's; a single input is the token ids whatever it is called."""
    if len(inputs) == 1:
        return {inputs[0].name: "input_ids"}
    return {
        t.name: next((known for known, words in _ALIASES.items() if any(w in t.name for w in words)), t.name)
        for t in inputs
    }


def chosen(graphs: Sequence[Graph], feeds: Mapping[str, NDArray[Any]]) -> tuple[int, dict[str, NDArray[Any]]]:
    """Which of a file's signatures takes the first row of a batch, and the arrays that it is given there."""
    program, row = Program(graphs), next(iter(rows(feeds)))
    graph, bucket = program.choose(next(iter(row.values())).shape[1])
    given = {t.name: pad(row[program.names[t.name]], bucket, t.dtype) for t in graph.inputs}
    return list(graphs).index(graph), given


class TfliteSession(Session):
    """An opened file: each row of a batch runs by itself, in the shortest signature that holds it."""

    def __init__(self, graphs: Sequence[Graph], only: Sequence[int] = ()) -> None:
        self._program = Program(graphs, only)
        first = next(iter(self._program.graphs.values()))
        self.inputs = tuple(
            TensorSpec(name=self._program.names[t.name], dtype=t.dtype.name, shape=(1, "any")) for t in first.inputs
        )
        self.outputs = tuple(self._spec(t) for t in first.outputs)

    def _spec(self, tensor: Tensor) -> TensorSpec:
        dims: list[int | str] = [dim if dim > 0 else "any" for dim in tensor.shape]
        if self._program.token_axis[tensor.name]:
            dims[1] = "any"
        return TensorSpec(name=tensor.name, dtype="float32" if tensor.scale else tensor.dtype.name, shape=tuple(dims))

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `Session.run`."""
        longest = next(iter(feeds.values())).shape[1]
        try:
            given = [self._row(row, longest) for row in rows(feeds)]
        except EngineError:
            raise
        except Exception as error:
            raise EngineError(f"the TFLite engine failed: {type(error).__name__}: {error}") from error
        return {spec.name: np.concatenate([row[spec.name] for row in given]) for spec in self.outputs}

    def _row(self, feeds: Mapping[str, NDArray[Any]], longest: int) -> dict[str, NDArray[Any]]:
        length = next(iter(feeds.values())).shape[1]
        graph, bucket = self._program.choose(length)
        names = self._program.names
        out = graph.run({t.name: pad(feeds[names[t.name]], bucket, t.dtype) for t in graph.inputs})
        found = {}
        for tensor in graph.outputs:
            array = tensor.real(out[tensor.name])
            found[tensor.name] = _fitted(array, length, longest) if self._program.token_axis[tensor.name] else array
        return found


def _fitted(array: NDArray[Any], length: int, longest: int) -> NDArray[Any]:
    """(1, bucket, ...) -> (1, longest, ...): the rows of `length` tokens, then zeros."""
    fitted = np.zeros((1, longest, *array.shape[2:]), array.dtype)
    fitted[:, :length] = array[:, :length]
    return fitted


def check_magic(path: Path) -> None:
    """Refuse what is no TFLite file of version 3. Raises EngineError."""
    with path.open("rb") as file:
        found = file.read(8)[4:]
    if found != _MAGIC:
        what = f"bytes 4 to 8 of {path.name} are {found!r}, a TFLite file has {_MAGIC!r} there"
        raise EngineError(what, hint="is it a model of another format, or cut short?")
