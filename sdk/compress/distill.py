"""distill: train on a teacher's outputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from edgewright.compress.train import Train

if TYPE_CHECKING:
    from edgewright.compress import Setting
    from edgewright.source import Source

__all__ = ["Distill"]


class Distill(Train, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As `edgewright distill` does; see `edgewright.train.Distillation`.

    Attributes:
        teacher: a directory or hub id; or `step N` for what the recipe's N-th step made, `first` for its first model.
        temperature: softens both sides' probabilities.
        alpha: the weight of the labels; the rest is the teacher's.
        hidden: the weight of the hidden states.
        copies: variations of each row that the teacher answers too.
    """

    teacher: str = "first"
    temperature: Annotated[float, Meta(gt=0)] = 2.0
    alpha: Annotated[float, Meta(ge=0, le=1)] = 0.5
    hidden: Annotated[float, Meta(ge=0)] = 0.0
    copies: Annotated[int, Meta(ge=0)] = 0

    def apply(self, source: Source, out: Path, setting: Setting) -> None:
        """Distil into the model that the steps before have made; a run that was interrupted goes on."""
        from edgewright.train import Distillation, distill

        how = Distillation(self.temperature, self.alpha, self.hidden, self.copies)
        distill(
            self._teacher(out, setting),
            *setting.rows("distill"),
            out,
            student=source.directory,
            how=how,
            recipe=self.recipe(setting),
            cache=setting.cache,
            resume=True,
            progress=setting.progress,
        )

    def _teacher(self, out: Path, setting: Setting) -> str | Path:
        if self.teacher == "first":
            return setting.first
        word, _, number = self.teacher.partition(" ")
        if word == "step" and number.isdecimal():
            return next(iter(out.parent.glob(f"{int(number):02d}-*")), Path(self.teacher))
        return self.teacher
