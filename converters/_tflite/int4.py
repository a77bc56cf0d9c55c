"""int4 for TFLite: a symmetric scale for each 32 weights of dense layers, by GPTQ (see `_gptq`), and of large tables.

AI Edge Quantizer writes the file, but rounds every weight by itself; here they are rounded before it, together, and it
finds the scales again: on MiniLM that gains 5 dB over its best rounding (OCTAV, Sakr et al. 2022, arXiv 2206.06501).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgewright.converters._rounding.calibration import random_feeds
from edgewright.converters._rounding.gptq import Moments, own_scales, round_blocks, round_rows
from edgewright.converters._tflite import file
from edgewright.converters._tflite.observe import activations, index_of, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Texts = Sequence[Mapping[str, NDArray[Any]]]

__all__ = ["keep_grids", "on_grids", "outputs_at_8_bits"]

_BLOCK = 32
"""Weights that share a scale: a choice, the least block of the quantizer's recipes, and the ONNX file's."""
_FEWEST_ROWS = 16
"""Label heads and tables of token types have fewer: they weigh nothing, and their errors are the user's errors."""
_LAYER, _LOOKUP = schema.BuiltinOperator.FULLY_CONNECTED, schema.BuiltinOperator.EMBEDDING_LOOKUP


def on_grids(data: bytes, texts: Texts) -> bytes:
    """A float file -> one whose weights are -8..7 times a scale, exact in bfloat16, for each block of inputs.

    Args:
        data: the file.
        texts: int64 (1, length) by input name, without padding. Random token ids are taken besides: on either alone
            GPTQ generalizes worse.
    """
    model, moments = file.read(data), Moments()
    met: dict[int, set[tuple[int, ...]]] = {}
    for buffers, x in activations(data, [*texts, *_random_texts(model)]):
        moments.add(buffers, x)
        for buffer in buffers:
            met.setdefault(buffer, set()).add(buffers)
    for buffer, weight in {**dict(_weights(model, _LOOKUP)), **dict(_weights(model, _LAYER))}.items():
        if buffer in met:
            codes, scales, _ = round_blocks(weight.T, moments.factor(*met[buffer]), _BLOCK, symmetric=True)
        else:  # a table, or a layer of a length that no text has
            codes, scales, _ = round_rows(weight, _BLOCK, symmetric=True)
        values = (codes.reshape(*scales.shape, _BLOCK).astype(np.float32) - 8) * scales[..., None]
        model.buffers[buffer].data = values.ravel().view(np.uint8)
    return file.write(model)


def _random_texts(model: Any) -> list[dict[str, NDArray[Any]]]:
    longest = max(file.lengths(model))
    return [{n: ids.reshape(1, -1)[:, :longest] for n, ids in batch.items()} for batch in random_feeds(tables(model))]


def outputs_at_8_bits(data: bytes) -> list[bytes]:
    """The names of what operators give that read a constant matrix, but not one of 4 bits."""
    model = file.read(data)
    narrow = {id(operator) for reader in (_LAYER, _LOOKUP) for _, operator in _at_4_bits(model, reader)}
    names = []
    for graph in model.subgraphs:
        for operator in (o for o in graph.operators if len(o.inputs) > 1 and id(o) not in narrow):
            weight = graph.tensors[operator.inputs[1]]
            if len(weight.shape) == 2 and model.buffers[weight.buffer].data is not None:
                names.append(graph.tensors[operator.outputs[0]].name)
    return names


def _weights(model: Any, reader: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Buffer and values (outputs or rows, width) of each constant that becomes int4 where such an operator reads it."""
    tensors = (graph.tensors[operator.inputs[1]] for graph, operator in _at_4_bits(model, reader))
    for buffer, shape in {tensor.buffer: tuple(tensor.shape) for tensor in tensors}.items():
        yield buffer, np.frombuffer(bytes(model.buffers[buffer].data), np.float32).reshape(shape)


def _at_4_bits(model: Any, reader: int) -> Iterator[tuple[Any, Any]]:
    """The operators whose weight becomes int4, each after its subgraph: some rows, whole blocks wide.

    A table that no input indexes is one of positions: it is small, and every text needs the same rows of it.
    """
    for graph, operator in file.operators(model, reader):
        weight = graph.tensors[operator.inputs[1]]
        fits = len(weight.shape) == 2 and weight.shape[0] >= _FEWEST_ROWS and weight.shape[1] % _BLOCK == 0
        positions = reader == _LOOKUP and index_of(model, graph, operator) not in graph.inputs
        if fits and not positions and model.buffers[weight.buffer].data is not None:
            yield graph, operator


def keep_grids() -> None:
    """Let AI Edge Quantizer's smallest and largest values choose scales only where weights lie on no grid."""
    from ai_edge_quantizer import algorithm_manager, qtyping
    from ai_edge_quantizer.algorithms.uniform_quantize import common_quantize, naive_min_max_quantize

    ways = (
        (qtyping.TFLOperationName.FULLY_CONNECTED, common_quantize.materialize_fc_conv),
        (qtyping.TFLOperationName.EMBEDDING_LOOKUP, common_quantize.materialize_embedding_lookup),
    )
    chosen = functools.partial(_kept, naive_min_max_quantize.get_tensor_quant_params)
    for operation, materialize in ways:
        algorithm_manager.register_quantized_op(
            algorithm_manager.AlgorithmName.MIN_MAX_UNIFORM_QUANT,
            operation,
            naive_min_max_quantize.init_qsvs,
            calibration_func=naive_min_max_quantize.min_max_calibrate,
            materialize_func=functools.partial(materialize, chosen),
        )


def _kept(choose: Callable[..., Any], info: Any, config: Any, content: Any = None, seen: Any = None) -> Any:
    """The scales that `choose` gives, those of blocks that lie on a grid their own."""
    from ai_edge_quantizer.algorithms.uniform_quantize import uniform_quantize_tensor

    found = choose(info, config, content, seen)
    if content is None or not found.block_size or found.num_bits != 4:
        return found
    own = own_scales(content.reshape(-1, found.block_size)).reshape(found.scale.shape)
    scale = np.where(own > 0, own, np.where(found.scale > 0, found.scale, 1))  # of zeros; XNNPACK takes no scale of 0
    kept = dataclasses.replace(found, scale=scale.astype(found.scale.dtype))
    codes = uniform_quantize_tensor.uniform_quantize(content, kept, is_blockwise_quant=True)
    return dataclasses.replace(kept, quantized_data=codes)
