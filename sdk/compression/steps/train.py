"""train: fine-tune, after a step that hurt or before one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from edgewright.compression.steps import Setting, Step
from edgewright.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.model.source import Source
    from edgewright.training.recipe import Recipe

__all__ = ["Train"]


class Train(Step, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As `edgewright train` does; the options are its own, see `edgewright.training.Recipe`.

    Attributes:
        labels: of a new head, by default those of the rows.
    """

    learning_rate: float = 5e-5
    epochs: float = 2.0
    batch: int = 32
    evaluations: int = 4
    precision: str = "fp32"
    max_length: int = 0
    seed: int | None = None
    labels: tuple[str, ...] = ()
    translates: ClassVar[bool] = True

    def recipe(self, setting: Setting) -> Recipe:
        """The options as a recipe of training."""
        from edgewright.training.recipe import Recipe

        own = ("learning_rate", "epochs", "batch", "evaluations", "precision", "max_length")
        given: dict[str, Any] = {name: getattr(self, name) for name in own}
        seed = setting.seed if self.seed is None else self.seed
        return Recipe(**given, seed=seed, threads=setting.threads)

    def check(self, source: Source, setting: Setting) -> None:
        """Raise UsageError for values out of range, a model or a task that is not trained, or without rows."""
        setting.rows("train")
        self.recipe(setting)
        if source.task == "translation":
            from edgewright.training.fitting import check_translator

            check_translator(source.origin, source.task)
        if source.task in ("feature-extraction", "fill-mask"):
            raise UsageError(f"train needs a task with labels, the model's is {source.task}", hint="give --task")

    def apply(self, source: Source, out: Path, setting: Setting) -> None:
        """Train; a run that was interrupted goes on."""
        from edgewright.training import train

        labelled, dev = setting.rows("train")
        train(
            source.directory,
            labelled,
            dev,
            out,
            task=source.task,
            labels=self.labels,
            recipe=self.recipe(setting),
            resume=True,
            progress=setting.progress,
            watch=setting.watch,
        )
