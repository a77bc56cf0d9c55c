"""distill: train on a teacher's outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewright.compress._taught import Taught

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.compress import Setting
    from edgewright.source import Source

__all__ = ["Distill"]


class Distill(Taught, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As `edgewright distill` does, by default from the recipe's first model."""

    teacher: str = "first"

    def apply(self, source: Source, out: Path, setting: Setting) -> None:
        """Distil into the model that the steps before have made; a run that was interrupted goes on."""
        from edgewright.train import distill

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
        )
