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
from edgewright.converters._rounding.gptq import Moments, own_scales, round_blocks, round_rows, round_shifted
from edgewright.converters._tflite import file
from edgewright.converters._tflite.observe import activations, index_of, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.converters._decoder.parts import Block, Decoder, Linear

    Texts = Sequence[Mapping[str, NDArray[Any]]]

__all__ = ["decoder_on_grids", "keep_grids", "on_grids", "outputs_at_8_bits"]

_BLOCK = 32
"""Weights that share a scale: a choice, the least block of the quantizer's recipes, and the ONNX file's."""
_FEWEST_ROWS = 16
"""Label heads and tables of token types have fewer: they weigh nothing, and their errors are the user's errors."""
_LOOKED_AT = 256
"""Blocks of a weight, to see whether it was put on grids: no other one has so many that happen to lie on some."""
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
    for buffer, weight in _weights(model).items():
        if buffer in met:
            codes, scales, _ = round_blocks(weight.T, moments.factor(*met[buffer]), _BLOCK, symmetric=True)
        else:  # a table, or a layer of a length that no text has
            codes, scales, _ = round_rows(weight, _BLOCK, symmetric=True)
        model.buffers[buffer].data = _values(codes, scales).ravel().view(np.uint8)
    return file.write(model)


def decoder_on_grids(
    decoder: Decoder, factor: Callable[[str], NDArray[np.float32]]
) -> tuple[Decoder, dict[str, NDArray[np.float32]]]:
    """A decoder whose products of layers are -8..7 times a scale for each block, and what is added to the blocks.

    The second are float32 (outputs, blocks) by the names of the weights: a block that lies to one side of zero would
    lose half of its codes. What is no whole blocks wide stays, and gets 8 bits, as the table does.

    Args:
        decoder: its parts.
        factor: `Moments.factor` of what meets a weight, by the model's name of it.
    """
    shifts: dict[str, NDArray[np.float32]] = {}

    def product(linear: Linear) -> Linear:
        if not _fits(linear.weight.shape):
            return linear
        codes, scales, shifts[linear.name] = round_shifted(linear.weight.T, factor(linear.source), _BLOCK)
        return dataclasses.replace(linear, weight=_values(codes, scales).reshape(linear.weight.shape))

    def block(one: Block) -> Block:
        part, mixer = one.feed_forward, one.attention
        query, key, value, output = map(product, (mixer.query, mixer.key, mixer.value, mixer.output))
        gate = None if part.gate is None else product(part.gate)
        return dataclasses.replace(
            one,
            mixer=dataclasses.replace(mixer, query=query, key=key, value=value, output=output),
            feed_forward=dataclasses.replace(part, up=product(part.up), down=product(part.down), gate=gate),
        )

    return dataclasses.replace(decoder, blocks=tuple(map(block, decoder.blocks))), shifts


def _fits(shape: Sequence[int]) -> bool:
    """Whether a weight (outputs or rows, width) has some rows, and whole blocks of them."""
    return len(shape) == 2 and shape[0] >= _FEWEST_ROWS and shape[1] % _BLOCK == 0


def _values(codes: NDArray[np.uint8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    return (codes.reshape(*scales.shape, _BLOCK).astype(np.float32) - 8) * scales[..., None]


def _random_texts(model: Any) -> list[dict[str, NDArray[Any]]]:
    longest = max(file.lengths(model))
    return [{n: ids.reshape(1, -1)[:, :longest] for n, ids in batch.items()} for batch in random_feeds(tables(model))]


def outputs_at_8_bits(data: bytes, *, of_decoder: bool) -> list[bytes]:
    """The names of what operators give that read a constant matrix, but not one of 4 bits.

    Of a decoder those lie on grids; its table, and what `decoder_on_grids` says of blocks, do not.
    """
    model = file.read(data)
    narrow = {id(operator) for _, operator in (_on_grids if of_decoder else _at_4_bits)(model)}
    names = []
    for graph in model.subgraphs:
        for operator in (o for o in graph.operators if len(o.inputs) > 1 and id(o) not in narrow):
            weight = graph.tensors[operator.inputs[1]]
            if len(weight.shape) == 2 and model.buffers[weight.buffer].data is not None:
                names.append(graph.tensors[operator.outputs[0]].name)
    return names


def _weights(model: Any) -> dict[int, NDArray[np.float32]]:
    """Buffer and values (outputs or rows, width) of each constant that becomes int4."""
    tensors = [graph.tensors[operator.inputs[1]] for graph, operator in _at_4_bits(model)]
    return {tensor.buffer: _numbers(model, tensor) for tensor in tensors}


def _numbers(model: Any, tensor: Any) -> NDArray[np.float32]:
    return np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.float32).reshape(tensor.shape)


def _at_4_bits(model: Any) -> Iterator[tuple[Any, Any]]:
    """The operators whose weight becomes int4, each after its subgraph.

    A table that no input indexes is one of positions: it is small, and every text needs the same rows of it.
    """
    lookups = file.operators(model, _LOOKUP)
    of_tokens = ((graph, one) for graph, one in lookups if index_of(model, graph, one) in graph.inputs)
    for graph, operator in (*of_tokens, *file.operators(model, _LAYER)):
        weight = graph.tensors[operator.inputs[1]]
        if _fits(weight.shape) and model.buffers[weight.buffer].data is not None:
            yield graph, operator


def _on_grids(model: Any) -> Iterator[tuple[Any, Any]]:
    """Of these the ones whose weights lie on grids, each after its subgraph: all of them do, or none."""
    known: dict[int, bool] = {}
    for graph, operator in _at_4_bits(model):
        weight = graph.tensors[operator.inputs[1]]
        if weight.buffer not in known:
            blocks = _numbers(model, weight).reshape(-1, _BLOCK)[:_LOOKED_AT]
            known[weight.buffer] = bool(((own_scales(blocks) > 0) | ~blocks.any(1)).all())
        if known[weight.buffer]:
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
