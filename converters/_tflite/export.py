"""torch -> TFLite: one signature for each bucket of lengths, all in one file, over one set of weights.

One signature with a dynamic length is no way round the buckets: litert-torch 0.10 lowers neither `arange` nor
`native_layer_norm` of a length that it does not know, and every encoder has both.

Attention is said as the few operators that XNNPACK runs: the mask is made once, additive, for all layers, and the
queries are scaled before their product with the keys, which has far more elements.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import warnings
from typing import TYPE_CHECKING, Any, cast

import torch

from edgewright.converters._model.attention import repeated, replaced
from edgewright.converters._tflite import file as _tflite_file
from edgewright.converters._tflite.norms import kept_apart
from edgewright.converters._tflite.rows import share_rows
from edgewright.errors import ConversionFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgewright.converters._model.attention import Attention

__all__ = ["MASKED", "converted", "export", "signature"]

MASKED = -1e4
"""Added to the score of a masked key: its weight is exactly 0 in float32, and it still fits an integer's range."""

_ATTENTION = "edgewright_tflite"


def signature(length: int) -> str:
    """The name of the signature of a bucket."""
    return f"length_{length}"


def export(model: torch.nn.Module, lengths: Sequence[int], inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """An fp32 TFLite file of `model` with a signature for each length, the longest first.

    The first signature is the one that a client which knows of none runs: MediaPipe's tasks do.

    Args:
        model: takes int64 (batch, length) tensors by position and returns a tuple of tensors.
        lengths: the buckets.
        inputs: the names of its inputs, int32 (1, length) in the file.
        outputs: the names of what it returns.

    Raises:
        ConversionFailed: an operator has no counterpart in TFLite.
    """
    inner = cast("Any", model).model
    attention = replaced(inner, _ATTENTION, _attention, _mask, _clamped, biased=True)
    feeds = {
        signature(length): {name: torch.ones((1, length), dtype=torch.int64) for name in inputs}
        for length in sorted(lengths, reverse=True)
    }
    with attention, kept_apart(model):
        return converted(_Named(model, inputs, outputs), feeds)


def converted(module: torch.nn.Module, feeds: Mapping[str, Mapping[str, torch.Tensor]]) -> bytes:
    """A TFLite file with a signature for each set of keyword arguments, in order.

    Raises:
        ConversionFailed: an operator has no counterpart in TFLite.
    """
    import litert_torch

    module, converter = module.eval(), None
    with _quiet(), _listed_once(), torch.no_grad():
        for name, given in feeds.items():
            add = converter.signature if converter else litert_torch.signature
            converter = add(name, module, sample_kwargs=dict(given))
        try:
            data: bytes = cast("Any", converter).convert().model_content()
        except RuntimeError as error:
            raise _narrowed(error) or error from error
    file = _tflite_file.read(data)
    share_rows(file)
    _shorten(file)
    return _tflite_file.write(_tflite_file.without_unused(file))


def _shorten(file: Any) -> None:
    """Call tensors by classes and attributes, without the modules that the classes come from."""
    for tensor in (tensor for graph in file.subgraphs for tensor in graph.tensors):
        tensor.name = re.sub(rb"[A-Za-z0-9_]+\.", b"", tensor.name)


class _Named(torch.nn.Module):  # type: ignore[misc]
    """A model with keyword arguments and a dictionary of outputs: the file's names come from them."""

    def __init__(self, model: torch.nn.Module, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        super().__init__()
        self.model, self.inputs, self.outputs = model, tuple(inputs), tuple(outputs)

    def forward(self, **feeds: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run the model."""
        given = self.model(*(feeds[name] for name in self.inputs))
        return dict(zip(self.outputs, given, strict=True))


def _narrowed(error: RuntimeError) -> ConversionFailed | None:
    """The operators that the library could not lower, as one line; None where it failed of something else."""
    missing = sorted(set(re.findall(r"Lowering not found: (\S+)", str(error))))
    missing += sorted(set(re.findall(r"failed to legalize operation '([^']+)'", str(error))))
    if not missing:
        return None
    return ConversionFailed(
        f"tflite has no counterpart for the operator{'s' * (len(missing) > 1)} {', '.join(missing)}",
        hint="take --format onnx, which has all of torch's operators",
    )


def _attention(asked: Attention) -> torch.Tensor:
    """(batch, heads, length, width) x 3 -> (batch, length, heads, width)."""
    key, value = repeated(asked.query.shape[1], asked.key, asked.value)
    scores = (asked.query * asked.scale) @ key.transpose(2, 3)
    for part in (asked.position_bias, asked.mask):
        scores = scores if part is None else scores + part
    return (scores.softmax(-1) @ value).transpose(1, 2).contiguous()


def _mask(mask: torch.Tensor, queries: int, dtype: torch.dtype) -> torch.Tensor:
    """Bool (batch, keys) -> float (batch, 1, 1, keys)."""
    del queries
    return ((1.0 - mask.to(dtype)) * MASKED)[:, None, None, :]


def _clamped(mask: torch.Tensor) -> torch.Tensor:
    return mask.clamp(min=MASKED)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """litert-torch's notes concern its authors, as that 64-bit inputs become 32-bit ones, which is wanted here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        level = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(level)


@contextlib.contextmanager
def _listed_once() -> Iterator[None]:
    """Have torch look up its composite operators once, not some hundred times a signature: a tenth of a conversion.

    torch 2.13 does it anew, since a library may have registered more of them in between. None does here.
    """
    from torch._export import utils

    look_up = utils._materialize_cpp_cia_ops  # noqa: SLF001 - there is no public way to what it finds
    utils._materialize_cpp_cia_ops = functools.cache(look_up)  # noqa: SLF001
    try:
        yield
    finally:
        utils._materialize_cpp_cia_ops = look_up  # noqa: SLF001
