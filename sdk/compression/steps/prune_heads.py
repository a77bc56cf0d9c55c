"""prune-heads: remove the attention heads that the loss misses least; the matrices really get smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from edgewright.compression.steps import Setting, Step
from edgewright.errors import UsageError
from edgewright.model.pruned import FAMILIES, FLAG

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.model.source import Source

__all__ = ["PruneHeads"]


class PruneHeads(Step, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By first-order importance over all layers (Michel et al. 2019, arXiv 1905.10650); a layer keeps one at least.

    What is saved is for edgewright alone: `edgewright_pruned` in config.json, see `edgewright.model.pruned`.

    Attributes:
        amount: the share of all heads to remove.
        batches: of 32 rows, to look at.
    """

    amount: Annotated[float, Meta(gt=0, lt=1)]
    batches: Annotated[int, Meta(ge=1)] = 32

    def check(self, source: Source, setting: Setting) -> None:
        """Raise UsageError for other architectures, or without rows."""
        setting.rows("prune-heads")
        if source.model_type not in FAMILIES:
            raise UsageError(f"prune-heads takes {', '.join(FAMILIES)}; the model is a {source.model_type}")

    def apply(self, source: Source, out: Path, setting: Setting) -> None:
        """Look at some batches, remove, save."""
        import torch

        from edgewright.compression.steps._importance import of_inputs
        from edgewright.compression.steps._model import attentions, keep_inputs, keep_outputs, loaded, save

        model = loaded(source)
        found = attentions(model, "prune-heads")
        width = found[0].self.attention_head_size
        dense = [attention.output.dense for attention in found]
        rows, scratch = setting.rows("prune-heads")[0], out.with_name(f"{out.name}-rows")
        worth = of_inputs(model, source, dense, width, rows, scratch, count=self.batches, seed=setting.seed)
        spared = [one.index_fill(0, one.argmax(), float("inf")) for one in worth]
        every = torch.cat(spared)
        gone = set(every.argsort()[: min(round(self.amount * len(every)), len(every) - len(found))].tolist())
        begin = 0
        for attention, one in zip(found, worth, strict=True):
            heads = [at for at in range(len(one)) if begin + at not in gone]
            begin += len(one)
            kept = torch.tensor([head * width + at for head in heads for at in range(width)])
            for matrix in (attention.self.query, attention.self.key, attention.self.value):
                keep_outputs(matrix, kept)
            keep_inputs(attention.output.dense, kept)
        setattr(model.config, FLAG, True)
        save(model, source, out)
