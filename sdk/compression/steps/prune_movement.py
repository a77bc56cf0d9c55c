"""prune-movement: learn in training which weights to set to zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from edgewright.compression.steps.distill import Distill
from edgewright.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.compression.steps import Setting
    from edgewright.model.source import Source

__all__ = ["PruneMovement"]


class PruneMovement(Distill, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Weights that training moves towards zero go, whatever their size (Sanh et al. 2020, arXiv 2005.07683).

    Each weight has a score, which begins with its size and learns by a straight-through estimator; those with the
    highest are kept. The share of zeros rises as in `prune-magnitude`, over three quarters of the run.

    Attributes:
        sparsity: the share of zeros in the matrices of the layers; embeddings, biases, norms and the head are spared.
        scope: `global` compares all scores, `layer` those of each matrix.
        score_rate: the learning rate of the scores.
        teacher: by default none, labels alone.
    """

    sparsity: Annotated[float, Meta(gt=0, lt=1)]
    scope: Literal["global", "layer"] = "global"
    score_rate: Annotated[float, Meta(gt=0)] = 1e-2
    epochs: float = 6.0
    teacher: str = ""
    alone: ClassVar[bool] = True

    def check(self, source: Source, setting: Setting) -> None:
        """Raise UsageError for values out of range, a model without such matrices, or without rows."""
        super().check(source, setting)
        from edgewright.compression.steps._model import skeleton
        from edgewright.compression.steps._zeros import linears

        if not linears(skeleton(source)):
            raise UsageError(f"prune-movement finds no linear layers in the layers of a {source.model_type}")

    def apply(self, source: Source, out: Path, setting: Setting) -> None:
        """Train scores and weights; a run that was interrupted goes on."""
        from edgewright.compression.steps._movement import SCORES, Rising, attach, bake
        from edgewright.compression.steps._zeros import RISING

        self.teach(
            source,
            out,
            setting,
            attach,
            after=Rising(self.sparsity, whole=self.scope == "global"),
            settled=RISING,
            finish=bake,
            rates=((SCORES, self.score_rate),),
            facts=(("sparsity", self.sparsity), ("scope", self.scope), ("score_rate", self.score_rate)),
        )
