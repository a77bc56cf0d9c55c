"""prune-magnitude: set the smallest weights to zero, at once or little by little while training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from edgewright.compression.steps.train import Train

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.compression.steps import Setting
    from edgewright.model.source import Source

__all__ = ["PruneMagnitude"]


class PruneMagnitude(Train, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the matrices in the layers; embeddings, biases, norms and the head are spared.

    Zeros make a file that compresses better, and no dense engine faster. With `epochs` above 0 the share of zeros rises
    with the third power of the steps (Zhu and Gupta 2017, arXiv 1710.01878, section 3) over three quarters of a
    training run, and the rest of it recovers.

    Attributes:
        sparsity: the share of zeros in those matrices.
        scope: `global` compares all weights, `layer` those of each matrix.
    """

    sparsity: Annotated[float, Meta(gt=0, lt=1)]
    scope: Literal["global", "layer"] = "global"
    epochs: float = 0.0

    def check(self, source: Source, setting: Setting) -> None:
        """Raise UsageError for values out of range; rows are needed only to train."""
        if self.epochs:
            super().check(source, setting)

    def apply(self, source: Source, out: Path, setting: Setting) -> None:
        """Prune and save; or prune while training."""
        from edgewright.compression.steps._model import loaded, save
        from edgewright.compression.steps._zeros import cut, matrices

        if self.epochs:
            self._gradually(source, out, setting)
            return
        model = loaded(source)
        cut(matrices(model), self.sparsity, whole=self.scope == "global")
        save(model, source, out)

    def _gradually(self, source: Source, out: Path, setting: Setting) -> None:
        from edgewright.compression.steps._zeros import RISING, Gradual
        from edgewright.training.fitting import Lesson, plain_loss, train_into

        facts = (("sparsity", self.sparsity), ("scope", self.scope))
        schedule: Any = Gradual(self.sparsity, whole=self.scope == "global")
        lesson = Lesson(plain_loss, facts=facts, after=schedule, settled=RISING)
        train_into(
            out,
            source,
            setting.rows("prune-magnitude"),
            self.recipe(setting),
            lesson,
            resume=True,
            force=False,
            progress=setting.progress,
        )
