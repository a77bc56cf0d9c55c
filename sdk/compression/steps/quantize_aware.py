"""quantize-aware: train with weights rounded as a conversion will round them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from edgewright import registry
from edgewright.compression.steps.distill import Distill
from edgewright.errors import UsageError
from edgewright.training.hush import hush

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.compression.steps import Setting
    from edgewright.model.source import Source

__all__ = ["QuantizeAware"]


class QuantizeAware(Distill, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every step of the run sees rounded weights, and a straight-through estimator trains the real ones.

    Jacob et al. 2018, arXiv 1712.05877, section 3, by torchao. What is saved is a plain float model whose weights lie
    on the grid; `edgewright build` at that precision finds the grid again, and rounds nothing anew. It comes last.

    Attributes:
        to: the precision to train for.
        activations: whether what meets the weights is rounded too, to int8 for each token, as the engines do.
        teacher: by default none, labels alone.
    """

    to: Literal["int8", "int4"]
    activations: bool = True
    teacher: str = ""
    alone: ClassVar[bool] = True

    def check(self, source: Source, setting: Setting) -> None:
        """Raise UsageError for values out of range, layers that make no whole blocks, or without rows."""
        super().check(source, setting)
        registry.require(("torchao",), "train")
        from edgewright.compression.steps._model import skeleton

        self._fits(skeleton(source))

    def apply(self, source: Source, out: Path, setting: Setting) -> None:
        """Train; a run that was interrupted goes on."""
        hush()
        from edgewright.compression.steps._grid import settle, simulate

        def change(model: Any) -> None:
            self._fits(model)
            simulate(model, self.to, activations=self.activations)

        facts = (("to", self.to), ("activations", self.activations))
        self.teach(source, out, setting, change, finish=settle, facts=facts)

    def _fits(self, model: Any) -> None:
        from edgewright.compression.steps._grid import BLOCK, layers

        for name, layer in layers(model) if self.to == "int4" else ():
            width = layer.weight.shape[1]
            if width % BLOCK:
                what = f"quantize-aware int4 has a scale for {BLOCK} weights, {name} is {width} wide"
                raise UsageError(what, hint='no multiple: train for to = "int8", or change the width')
