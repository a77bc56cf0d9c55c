"""What an ONNX file says of itself, to Netron and to whoever has it without its bundle: metadata, and layers of nodes.

The axes of the inputs are named here and not in the graph: where ONNX Runtime can prove that two shapes are equal, it
takes slower kernels (`edgewright.converters._onnx.export`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edgewright._version import __version__
from edgewright.bundle.onnx_layers import LAYERS, layers_of, packed

if TYPE_CHECKING:
    import onnx

    from edgewright.contracts.converter import ConversionSpec

__all__ = ["described"]


def described(model: onnx.ModelProto, spec: ConversionSpec, *, told: bool = False) -> onnx.ModelProto:
    """The model, with its metadata written anew: a model of gigabytes is not copied for them.

    Where whoever wrote the graph has `told` the layer of each node, those stay; else they are worked out.
    """
    model.producer_name, model.producer_version = "edgewright", __version__
    axes = {name: ["batch", "sequence"] for name in spec.inputs}
    facts = {**spec.about, "precision": spec.precision, "axes": json.dumps(axes, sort_keys=True)}
    before = {entry.key: entry.value for entry in model.metadata_props}
    facts[LAYERS] = before[LAYERS] if told else packed(layers_of(model.graph))
    del model.metadata_props[:]
    for key, value in sorted(facts.items()):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return model
