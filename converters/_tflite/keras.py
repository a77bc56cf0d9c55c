"""Keras -> TFLite with TensorFlow's own converter: one signature, of a free length or of the model's fixed one.

LiteRT resizes a free length when a text comes, so nothing is padded: a model that takes no mask stays right.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import UnsupportedConversion
from edgewright.text.buckets import pad

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgewright.contracts.converter import ConversionSpec
    from edgewright.converters._model.keras import Keras

__all__ = ["convert"]


def convert(model: Keras, spec: ConversionSpec, out: Path) -> None:
    """Write `model` at fp32, fp16, int8 (dynamic) or int8-static (calibrated on `spec.calibration`) to `out`.

    Raises:
        UnsupportedConversion: operators that TFLite does not have; they are listed.
    """
    import tensorflow as tf

    spec.progress("convert")
    holder = tf.Module()
    holder.model, holder.variables_ = model.model, model.variables  # what is not tracked here is not in the file
    concrete = _named(model).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], holder)
    if spec.precision != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if spec.precision == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if spec.precision == "int8-static":
        converter.representative_dataset = lambda: _calibration(model, spec)
        ops = tf.lite.OpsSet
        converter.target_spec.supported_ops = [ops.TFLITE_BUILTINS_INT8, ops.TFLITE_BUILTINS]
    try:
        out.write_bytes(converter.convert())
    except Exception as error:
        missing = _missing(str(error))
        if not missing:
            raise
        hint = "replace them in the model: TFLite has no such operators"
        raise UnsupportedConversion(f"tflite: the model uses {', '.join(missing)}", hint=hint) from error


def _named(model: Keras) -> Any:
    """The model's function with its outputs by name: the names of the file's signature."""
    import tensorflow as tf

    specs = [tf.TensorSpec((1, model.length), tf.int32, name=name) for name in model.inputs]

    def body(*ids: Any) -> dict[str, Any]:
        return dict(zip(model.outputs, model.function(*ids), strict=True))

    return tf.function(body, input_signature=specs)


def _calibration(model: Keras, spec: ConversionSpec) -> Iterator[dict[str, Any]]:
    """The texts, with more than one input all of one length: the calibrator resizes inputs one after the other."""
    longest = max(next(iter(feeds.values())).shape[1] for feeds in spec.calibration)
    for feeds in spec.calibration:
        row = model.row(feeds)
        if len(row) > 1:
            row = tuple(pad(array, max(longest, array.shape[1]), np.int32) for array in row)
        yield dict(zip(model.inputs, row, strict=True))


def _missing(words: str) -> list[str]:
    """The operators that TensorFlow's converter names in its error."""
    return sorted(set(re.findall(r"'(tf\.\w+)' op is neither a custom op nor a flex op", words)))
