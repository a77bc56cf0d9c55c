"""Weights that lie on a grid of 4 bits already, after quantization-aware training, keep it in TFLite files."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

from edgewright.converters._gptq import own_scales

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["keep_grids"]


def keep_grids() -> None:
    """Let AI Edge Quantizer's OCTAV and its smallest and largest values choose scales only where no grid is."""
    from ai_edge_quantizer import algorithm_manager, qtyping
    from ai_edge_quantizer.algorithms.uniform_quantize import common_quantize, naive_min_max_quantize, octav

    names, ops = algorithm_manager.AlgorithmName, qtyping.TFLOperationName
    dense = (names.OCTAV, ops.FULLY_CONNECTED, common_quantize.materialize_fc_conv, octav)
    table = (
        names.MIN_MAX_UNIFORM_QUANT,
        ops.EMBEDDING_LOOKUP,
        common_quantize.materialize_embedding_lookup,
        naive_min_max_quantize,
    )
    for key, operation, materialize, algorithm in (dense, table):
        chosen = functools.partial(_kept, algorithm.get_tensor_quant_params)
        algorithm_manager.register_quantized_op(
            key,
            operation,
            naive_min_max_quantize.init_qsvs,
            calibration_func=naive_min_max_quantize.min_max_calibrate,
            materialize_func=functools.partial(materialize, chosen),
        )


def _kept(choose: Callable[..., Any], info: Any, config: Any, content: Any = None, seen: Any = None) -> Any:
    """The scales that `choose` gives, those of blocks that lie on a grid their own."""
    import numpy as np
    from ai_edge_quantizer.algorithms.uniform_quantize import uniform_quantize_tensor

    found = choose(info, config, content, seen)
    if content is None or not found.block_size or found.num_bits != 4:
        return found
    own = own_scales(content.reshape(-1, found.block_size)).reshape(found.scale.shape)
    kept = dataclasses.replace(found, scale=np.where(own > 0, own, found.scale))
    codes = uniform_quantize_tensor.uniform_quantize(content, kept, is_blockwise_quant=True)
    return dataclasses.replace(kept, quantized_data=codes)
