"""Writing ONNX files of what decodes: their weights in one file beside them, where equal bytes have one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import onnx

__all__ = ["save_beside"]

_SMALL = 1024
"""Bytes of a constant that stays in the graph: shapes and norms are what people look for there."""
_ALIGNED = 4096
"""A page: an engine maps a tensor only where it begins at one (ONNX Runtime, external data)."""


def save_beside(models: Mapping[Path, onnx.ModelProto], beside: Path) -> None:
    """Write each model to its path and the large constants of all to `beside`, from where an engine can map them.

    The embedding and the head of a quantized model are two constants of the same bytes, and so are the tables of two
    graphs: they lie there once, and are in memory once.
    """
    import onnx

    places: dict[bytes, int] = {}
    offset = 0
    with beside.open("wb") as data:
        for tensor in (tensor for model in models.values() for tensor in model.graph.initializer):
            raw = tensor.raw_data
            if len(raw) < _SMALL:
                continue
            if raw not in places:
                offset += data.write(b"\0" * (-offset % _ALIGNED))
                places[raw] = offset
                offset += data.write(raw)
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", beside.name), ("offset", places[raw]), ("length", len(raw))):
                entry = tensor.external_data.add()
                entry.key, entry.value = key, str(value)
    for out, model in models.items():
        onnx.save(model, str(out))
