"""Writing an ONNX graph operator by operator: nodes and constants, each constant once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edgewright.bundle.onnx_layers import LAYERS, packed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx
    from numpy.typing import NDArray

    from edgewright.converters._decoder.parts import Linear

__all__ = ["ACTIVATIONS", "DOMAIN", "Tables", "Writer"]

DOMAIN = "com.microsoft"
_OPSET = 21
"""The first with 4-bit types beside what is needed here; ONNX Runtime runs it from 1.20 on."""
_IR_VERSION = 10
"""That of ONNX 1.16."""
ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "silu": ("QuickGelu", {"domain": DOMAIN, "alpha": 1.0}),  # x * sigmoid(alpha x), in one kernel
    "gelu": ("Gelu", {}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
}
"""Activations as `edgewright.converters._decoder.parts.FeedForward` names them."""


class Tables(Protocol):
    """What `Products` reads of the model that a graph is of."""

    @property
    def embedding(self) -> NDArray[np.float32]:
        """(vocabulary, width)."""

    @property
    def head(self) -> Linear | None:
        """None where the embedding is the head as well."""

    @property
    def vocabulary(self) -> int:
        """How many tokens it knows."""

    @property
    def width(self) -> int:
        """Numbers of a hidden state."""


class Writer:
    """A graph in the making: `node` and `constant` are what `Products` writes with.

    Attributes:
        module: of the model, to which the nodes belong that are added now.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self.module = ""
        self._modules: dict[str, str] = {}

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """A constant of the graph, its name given back; the first of a name stays."""
        from onnx import numpy_helper

        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.require(value, requirements="C"), name)
        return name

    def node(
        self, kind: str, *inputs: str, outputs: int | Sequence[str] = 1, domain: str = "", **attributes: Any
    ) -> Any:
        """Add an operator: the name of its output, or a tuple of them."""
        from onnx import helper

        name = f"{kind}_{len(self.nodes)}"
        names = [f"{name}_{i}" for i in range(outputs)] if isinstance(outputs, int) else list(outputs)
        self.nodes.append(helper.make_node(kind, list(inputs), names, name, domain=domain, **attributes))
        self._modules[name] = self.module
        return names[0] if len(names) == 1 else tuple(names)

    def index(self, *values: int) -> str:
        """A constant int64 vector."""
        return self.constant(f"index/{'_'.join(map(str, values))}", np.array(values, np.int64))

    def written(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> onnx.ModelProto:
        """The model of what was added."""
        from onnx import helper

        graph = helper.make_graph(self.nodes, "main", inputs, outputs, list(self.constants.values()))
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(DOMAIN, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="edgewright")
        helper.set_model_props(model, {LAYERS: packed(self._modules)})
        return model
