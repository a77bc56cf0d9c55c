"""The weights of an ONNX file in a file beside it, so that ONNX Runtime maps them.

What lies within the file itself is read into a message, and copied from there. What lies beside it is mapped: of a
table of words the rows of a text come into memory and no more, and a matrix goes when it is packed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewright.bundle.onnx_rewriting import INITIALIZER, field, number, parts, with_graph

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["weights_aside"]

_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14
"""Fields of TensorProto."""
_KEY, _VALUE = 1, 2
"""Fields of StringStringEntryProto."""
_EXTERNAL = 1
"""TensorProto.DataLocation.EXTERNAL."""
_LEAST = 16 << 10
"""Bytes from which a mapping of its own is worth the call and the rest of its last page: a choice."""
_ALIGNED = 4096
"""Where weights begin: at pages, as the engine itself writes them."""


def weights_aside(model: bytes, location: str) -> tuple[bytes, bytes]:
    """The same model without its larger weights, and the content of the file `location` beside it that has them.

    Raises:
        Malformed: it is no ONNX file.
    """
    weights = bytearray()

    def of_graph(graph: bytes) -> bytes:
        return b"".join(
            field(INITIALIZER, b"".join(_moved(content, location, weights))) if key == INITIALIZER else whole
            for key, content, whole in parts(graph)
        )

    return with_graph(model, of_graph), bytes(weights)


def _moved(tensor: bytes, location: str, weights: bytearray) -> Iterator[bytes]:
    for key, content, whole in parts(tensor):
        if key != _RAW_DATA or len(content) < _LEAST:
            yield whole
            continue
        weights.extend(bytes(-len(weights) % _ALIGNED))
        entries = {"location": location, "offset": str(len(weights)), "length": str(len(content))}
        weights.extend(content)
        for name, value in entries.items():
            yield field(_EXTERNAL_DATA, field(_KEY, name.encode()) + field(_VALUE, value.encode()))
        yield number(_DATA_LOCATION, _EXTERNAL)
