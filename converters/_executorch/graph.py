"""What every rewriting of a graph for XNNPACK needs: new nodes and parameters, quantized weights and rows."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


__all__ = ["MIN_ROWS", "Rewriter", "channel_weight", "per_token", "symmetric"]

MIN_ROWS = 16
"""A table with fewer rows holds token types; quantizing it saves nothing."""

_LEAST_SCALE = 2.0**-100
"""A row of zeros: any scale will do that is a normal number."""


class Rewriter:
    """Makes nodes and constants in a graph, each constant once."""

    def __init__(self, graph: torch.fx.GraphModule) -> None:
        self.module = graph
        self._made: dict[Any, Any] = {}

    def each(self, name: str, replace: Callable[[Rewriter, torch.fx.Node], torch.fx.Node | None]) -> None:
        """Let `replace` stand for every node of an `aten` operator; where it gives None the node stays."""
        for node in [n for n in self.module.graph.nodes if str(n.target) == f"aten.{name}"]:
            with self.module.graph.inserting_before(node):
                new = replace(self, node)
            if new is not None:
                node.replace_all_uses_with(new)
                self.module.graph.erase_node(node)

    def call(self, target: Any, *args: Any) -> torch.fx.Node:
        """A call of an `aten` operator by its name, or of any other by itself."""
        import torch

        packet, _, overload = target.partition(".") if isinstance(target, str) else ("", "", "")
        called = getattr(getattr(torch.ops.aten, packet), overload) if packet else target
        return self.module.graph.call_function(called, args)

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What was made for `key` before, or now."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def constant(self, name: str, make: Callable[[], torch.Tensor]) -> torch.fx.Node:
        """A node that reads a constant; the tensor is made the first time."""
        key = f"_edgewright_{name.replace('.', '_')}"
        self.once(key, lambda: self.module.register_buffer(key, make()))
        return self.module.graph.get_attr(key)

    def weight(self, node: Any) -> torch.Tensor | None:
        """The tensor that a node reads from the module, None where it is no stored weight."""
        import torch

        if getattr(node, "op", "") != "get_attr":
            return None
        found: Any = self.module
        for part in node.target.split("."):
            found = getattr(found, part)
        return found.detach() if isinstance(found, torch.Tensor) else None


def symmetric(weight: torch.Tensor, largest: int = 127) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 values in -largest..largest, and float32 scales (rows,), one for each row of `weight`."""
    import torch

    scale = (weight.abs().amax(1) / largest).clamp(min=_LEAST_SCALE)
    return (weight / scale[:, None]).round().clamp(-largest, largest).to(torch.int8), scale


def channel_weight(rewriter: Rewriter, node: torch.fx.Node) -> torch.fx.Node | None:
    """The weight of a linear layer from int8 with a scale for each output; None where it is no stored weight."""
    import torch

    ops: Any = torch.ops.quantized_decomposed
    weight = rewriter.weight(node.args[1])
    if weight is None:
        return None
    name = str(node.args[1].target)
    values, scales = rewriter.once(("int8", name), lambda: symmetric(weight))
    parts = (
        rewriter.constant(f"{name}_int8", lambda: values),
        rewriter.constant(f"{name}_scale", lambda: scales),
        rewriter.constant(f"{name}_zero", lambda: torch.zeros(len(scales), dtype=torch.int64)),
    )
    return rewriter.call(ops.dequantize_per_channel.default, *parts, 0, -127, 127, torch.int8)


def per_token(rewriter: Rewriter, x: Any) -> torch.fx.Node:
    """`x`, quantized to int8 with a range for each token and back; XNNPACK keeps the int8."""
    import torch

    ops: Any = torch.ops.quantized_decomposed
    chosen = rewriter.call(ops.choose_qparams_per_token_asymmetric.default, x, torch.int8)
    scale, zero = (rewriter.call(operator.getitem, chosen, at) for at in (0, 1))
    values = rewriter.call(ops.quantize_per_token.default, x, scale, zero, -128, 127, torch.int8)
    return rewriter.call(ops.dequantize_per_token.default, values, scale, zero, -128, 127, torch.int8, torch.float32)
