"""What goes into the matrix products of an ONNX graph, for smoothing and for static ranges.

The ranges for dynamic int8 are observed on random token ids: on MiniLM they find the same channels as real text does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from edgewright.converters._rounding.smooth import Range, range_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt
    import onnx

    _Array: TypeAlias = npt.NDArray[Any]

__all__ = ["activations", "observe"]


def observe(
    float_model: onnx.ModelProto, wanted: Sequence[str], feeds: Sequence[Mapping[str, _Array]]
) -> dict[str, Range]:
    """The ranges, by name, of the activations called `wanted`, over `feeds`."""
    ranges: dict[str, Range] = {}
    for name, array in activations(float_model, wanted, feeds):
        seen = range_of(array)
        ranges[name] = ranges[name] | seen if name in ranges else seen
    return ranges


def activations(
    float_model: onnx.ModelProto, wanted: Sequence[str], feeds: Sequence[Mapping[str, _Array]]
) -> Iterator[tuple[str, _Array]]:
    """Name and values (tokens, channels) of each activation in `wanted`, for each of `feeds`, without padding."""
    import onnx
    import onnxruntime

    if not feeds or not wanted:
        return
    probe = onnx.ModelProto()
    probe.CopyFrom(float_model)
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    options = onnxruntime.SessionOptions()
    options.use_deterministic_compute = True
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    del probe
    for feed in feeds:
        for name, array in zip(wanted, session.run(wanted, dict(feed)), strict=True):
            yield name, _tokens(array, feed.get("attention_mask"))


def _tokens(array: _Array, mask: _Array | None) -> _Array:
    """(..., channels) -> (tokens, channels), padding left out where the mask fits it."""
    if mask is not None and array.shape[:-1] == mask.shape:
        array = array[mask != 0]
    return array.reshape(-1, array.shape[-1])
