"""prune-ffn: remove the feed-forward neurons that the loss misses least, as many in every layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from edgewright.compression.steps import Setting, Step
from edgewright.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.model.source import Source

__all__ = ["PruneFfn"]

_WHOLE = 32
"""Neurons: a multiple of every engine's vector width in int8, and of a block of int4."""


class PruneFfn(Step, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By first-order importance (Molchanov et al. 2019, arXiv 1906.10771).

    All layers keep the same number, a multiple of 32: groups of 4-bit weights and vector registers stay whole, and
    transformers' own configuration describes the result.

    Attributes:
        amount: the share to remove; or
        keep: how many to keep.
        batches: of 32 rows, to look at.
    """

    amount: Annotated[float, Meta(gt=0, lt=1)] | None = None
    keep: Annotated[int, Meta(ge=1)] | None = None
    batches: Annotated[int, Meta(ge=1)] = 32

    def check(self, source: Source, setting: Setting) -> None:
        """Raise UsageError where nothing or two things are asked, or without rows."""
        del source
        setting.rows("prune-ffn")
        if (self.amount is None) == (self.keep is None):
            raise UsageError("prune-ffn takes either amount or keep", hint="such as amount = 0.4")

    def apply(self, source: Source, out: Path, setting: Setting) -> None:
        """Look at some batches, remove, save."""
        from edgewright.compression.steps._importance import of_inputs
        from edgewright.compression.steps._model import keep_inputs, keep_outputs, loaded, save

        model = loaded(source)
        layers = _layers(model)
        have = layers[0].output.dense.in_features
        wanted = self.keep or round(have * (1 - (self.amount or 0)))
        kept_count = min(max(_WHOLE, round(wanted / _WHOLE) * _WHOLE), have)
        dense = [layer.output.dense for layer in layers]
        rows, scratch = setting.rows("prune-ffn")[0], out.with_name(f"{out.name}-rows")
        worth = of_inputs(model, source, dense, 1, rows, scratch, count=self.batches, seed=setting.seed)
        for layer, one in zip(layers, worth, strict=True):
            kept = one.argsort(descending=True)[:kept_count].sort().values
            keep_outputs(layer.intermediate.dense, kept)
            keep_inputs(layer.output.dense, kept)
        model.config.intermediate_size = kept_count
        save(model, source, out)


def _layers(model: Any) -> list[Any]:
    """Modules with `intermediate.dense` and `output.dense`, as BERT's layers have them."""
    found = [
        module
        for module in model.modules()
        if hasattr(getattr(module, "intermediate", None), "dense") and hasattr(getattr(module, "output", None), "dense")
    ]
    if not found:
        raise UsageError(f"prune-ffn finds no layers like BERT's in a {model.config.model_type}")
    return found
