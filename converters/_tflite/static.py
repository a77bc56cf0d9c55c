"""Static int8: activations in integers whose ranges were measured on real texts, by AI Edge Quantizer.

The kinds of operators that a rung of the ladder leaves in float: `layer norm` is decomposed by the exporter into means,
differences and a reciprocal root, and `softmax` takes the addition of the mask with it, whose range would swallow the
scores: these two are in float on every rung. Then `residual add`, `gelu`, `attention` (the two products without
weights), and `feed-forward output`: the dense layers that narrow, whose inputs have outliers, measure their input anew
at each run. Other dense layers are static on every rung, and embeddings are stored as int8.
"""

from __future__ import annotations

import contextlib
import io
import operator
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_quantizer import algorithm_manager, calibrator, qtyping, quantizer, recipe_manager
from ai_edge_quantizer.utils import qsv_utils

from edgewright.converters._tflite import file
from edgewright.text.buckets import pad

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["quantize_static"]

_MOST_TEXTS = 16
"""For each signature: the ranges of activations hardly widen with more, and every text costs a run of it."""

_OPERATIONS = {
    "": ("FULLY_CONNECTED", "TANH", "CONV_2D"),
    "attention": ("BATCH_MATMUL",),
    "gelu": ("GELU",),
    "residual add": ("ADD",),
}
"""The operators of a kind; that of no name is never left in float."""

_LAYERS = (schema.BuiltinOperator.FULLY_CONNECTED, schema.BuiltinOperator.CONV_2D)


def quantize_static(data: bytes, keep_float: Sequence[str], texts: Sequence[Mapping[str, NDArray[Any]]]) -> bytes:
    """A float file -> int8 weights and activations, but for the kinds of operators in `keep_float`.

    Args:
        data: the file.
        keep_float: names of the kinds in the module's docstring.
        texts: int64 (1, length) by input name, without padding.
    """
    work = quantizer.Quantizer(bytearray(data))
    work.load_quantization_recipe(_recipe(data, keep_float).get_quantization_recipe())
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        ranges = _ranges(data, work, texts)
        result = work.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return file.write(file.read(bytes(result.quantized_model)))


def _ranges(data: bytes, work: quantizer.Quantizer, texts: Sequence[Mapping[str, NDArray[Any]]]) -> Any:
    """The least and the greatest value of each activation."""
    recipe = recipe_manager.RecipeManager()
    recipe.load_quantization_recipe(work.get_quantization_recipe())
    observer = calibrator.Calibrator(
        bytearray(data), num_threads=os.cpu_count() or 1, qsv_update_func=qsv_utils.min_max_update
    )
    observer.calibrate(_feeds(data, texts), recipe)
    ranges = observer.get_model_qsvs()
    for names in _alike(data):
        found = [ranges[name] for name in names if name in ranges]
        for end, outermost in (("min", min), ("max", max)):
            reach = outermost((float(own[end].item()) for own in found), default=0.0)
            for own in found:
                own[end] = np.full_like(own[end], reach)
    return ranges


def _alike(data: bytes) -> list[set[str]]:
    """The names of activations that are the input, or the output, of layers over one weight."""
    model = file.read(data)
    sets: dict[tuple[int, str], set[str]] = {}
    for graph, layer in file.operators(model, *_LAYERS):
        weight = graph.tensors[layer.inputs[1]].buffer
        sides = (("input", layer.inputs[0]), ("output", layer.outputs[0]))
        for side, at in sides if model.buffers[weight].data is not None else ():
            sets.setdefault((weight, side), set()).add(graph.tensors[at].name.decode())
    return _joined(sets.values())


def _joined(sets: Iterable[set[str]]) -> list[set[str]]:
    """The sets, those with a name in common made one."""
    found: list[set[str]] = []
    for names in sets:
        touched = [other for other in found if other & names]
        found = [other for other in found if not other & names]
        found.append(names.union(*touched))
    return found


def _recipe(data: bytes, keep_float: Sequence[str]) -> recipe_manager.RecipeManager:
    recipe, name = recipe_manager.RecipeManager(), qtyping.TFLOperationName
    for kind, operations in _OPERATIONS.items():
        for operation in operations if kind not in keep_float else ():
            recipe.add_static_config(".*", name(operation), activation_num_bits=8, weight_num_bits=8)
    recipe.add_dynamic_config(".*", name.EMBEDDING_LOOKUP, 8)
    masks, narrowing = _scopes(data)
    for regex in ("Norm", masks):
        recipe.add_quantization_config(regex, name.ADD, algorithm_key=algorithm_manager.AlgorithmName.NO_QUANTIZE)
    if "feed-forward output" in keep_float:
        recipe.add_dynamic_config(narrowing, name.FULLY_CONNECTED, 8)
    return recipe


def _scopes(data: bytes) -> tuple[str, str]:
    """Expressions that match the sums that a softmax reads, and the dense layers with fewer outputs than inputs."""
    model = file.read(data)
    softmaxes = file.operators(model, schema.BuiltinOperator.SOFTMAX)
    dense = file.operators(model, schema.BuiltinOperator.FULLY_CONNECTED)
    masks = [graph.tensors[softmax.inputs[0]].name for graph, softmax in softmaxes]
    narrowing = [
        graph.tensors[layer.outputs[0]].name
        for graph, layer in dense
        if operator.gt(*graph.tensors[layer.inputs[1]].shape[::-1])
    ]
    return file.scope_of(masks), file.scope_of(narrowing)


def _feeds(data: bytes, texts: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, list[dict[str, NDArray[Any]]]]:
    """For each signature the texts that it would run, filled up with longer ones, cut."""
    lengths = file.lengths(file.read(data))
    found: dict[str, list[dict[str, NDArray[Any]]]] = {}
    for length, key in lengths.items():
        below = max((n for n in lengths if n < length), default=0)
        sizes = [next(iter(text.values())).shape[1] for text in texts]
        order = sorted(range(len(texts)), key=lambda at: (sizes[at] <= below, -sizes[at] if sizes[at] <= below else at))
        found[key] = [_cut(texts[at], length) for at in order[:_MOST_TEXTS]]
    return found


def _cut(text: Mapping[str, NDArray[Any]], length: int) -> dict[str, NDArray[Any]]:
    return {name: pad(array[:, :length], length, np.int32) for name, array in text.items()}
