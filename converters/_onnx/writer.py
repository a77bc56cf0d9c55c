"""Writing an ONNX graph operator by operator: nodes and constants, each constant once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgewright.converters._decoder.parts import Decoder

__all__ = ["Writer"]


class Writer:
    """A graph in the making: `node` and `constant` are what `Products` writes with."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

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

        at = len(self.nodes)
        names = [f"{kind}_{at}_{i}" for i in range(outputs)] if isinstance(outputs, int) else list(outputs)
        self.nodes.append(helper.make_node(kind, list(inputs), names, f"{kind}_{at}", domain=domain, **attributes))
        return names[0] if len(names) == 1 else tuple(names)

    def index(self, *values: int) -> str:
        """A constant int64 vector."""
        return self.constant(f"index/{'_'.join(map(str, values))}", np.array(values, np.int64))
