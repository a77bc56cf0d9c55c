"""distill: train on a teacher's outputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta

from edgewright.compression.steps.train import Train
from edgewright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgewright.compression.steps import Setting
    from edgewright.model.source import Source
    from edgewright.training import Distillation

__all__ = ["Distill"]


class Distill(Train, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As `edgewright distill` does; see `edgewright.training.Distillation`.

    Attributes:
        teacher: a directory or hub id; or `step N` for what the recipe's N-th step made, `first` for its first model.
            Steps that train by the way take an empty one too, for labels alone.
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
    alone: ClassVar[bool] = False
    translates: ClassVar[bool] = False

    def check(self, source: Source, setting: Setting) -> None:
        """Raise UsageError as `train` does, and where a teacher is needed that is not named."""
        super().check(source, setting)
        asked = [name for name in ("hidden", "copies") if getattr(self, name)]
        if not self.teacher and (asked or not self.alone):
            raise UsageError(f"{asked[0] if asked else 'distill'} needs a teacher", hint='such as teacher = "first"')

    def apply(self, source: Source, out: Path, setting: Setting) -> None:
        """Distil into the model that the steps before have made; a run that was interrupted goes on."""
        from edgewright.training import distill

        distill(
            self.teacher_of(out, setting),
            *setting.rows("distill"),
            out,
            student=source.directory,
            how=self.how(),
            recipe=self.recipe(setting),
            cache=setting.cache,
            resume=True,
            progress=setting.progress,
            watch=setting.watch,
        )

    def how(self) -> Distillation:
        """The options of a teacher."""
        from edgewright.training import Distillation

        return Distillation(self.temperature, self.alpha, self.hidden, self.copies)

    def teacher_of(self, out: Path, setting: Setting) -> str | Path:
        """Where the teacher lies, for a step that writes `out`."""
        if self.teacher == "first":
            return setting.first
        word, _, number = self.teacher.partition(" ")
        if word == "step" and number.isdecimal():
            found = (path.parent for path in out.parent.glob(f"{int(number):02d}-*/config.json"))
            return next(found, Path(self.teacher))
        return self.teacher

    def teach(self, source: Source, out: Path, setting: Setting, change: Callable[[Any], None], **more: Any) -> None:
        """Train the model that `change` makes of the source's own; `more` is what else the lesson says."""
        from edgewright.model.source import open_source
        from edgewright.training.distilling import lesson_of
        from edgewright.training.fitting import Lesson, plain_loss, train_into
        from edgewright.training.heads import with_labels

        recipe, files = self.recipe(setting), setting.rows("train")
        if self.teacher:
            given: Any = {"how": self.how(), "recipe": recipe, "cache": setting.cache, "say": setting.progress}
            taught = open_source(self.teacher_of(out, setting))
            source, lesson = lesson_of(taught, source.directory, files[0], **given)
        else:
            source, lesson = with_labels(source, self.labels, files[0]), Lesson(plain_loss)
        facts = (*lesson.facts, *more.pop("facts", ()))
        lesson = replace(lesson, start=lambda: _changed(source, recipe.seed, change), facts=facts, **more)
        train_into(out, source, files, recipe, lesson, resume=True, force=False, progress=setting.progress)


def _changed(source: Source, seed: int, change: Callable[[Any], None]) -> Any:
    from edgewright.compression.steps._model import task_of
    from edgewright.training._models import load

    model = load(source, task_of(source), seed=seed)
    change(model.inner)
    return model
