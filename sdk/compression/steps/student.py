"""student: a model of other sizes, which begins at random and learns in the steps that follow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from edgewright.compression.steps import Setting, Step
from edgewright.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.model.source import Source
    from edgewright.training.student import Shape

__all__ = ["Student"]

_Size = Annotated[int, Meta(ge=1)]


class Student(Step, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the model's own architecture, with its tokenizer; sizes that are not given are the model's.

    Attributes:
        layers: their number.
        width: of the hidden states.
        heads: of attention, in each layer; they divide the width.
        feed_forward: neurons of each layer.
        embedding: width of a factorised embedding, for architectures that have one.
    """

    layers: _Size | None = None
    width: _Size | None = None
    heads: _Size | None = None
    feed_forward: _Size | None = None
    embedding: _Size | None = None

    def shape(self) -> Shape:
        """The sizes, as distillation takes them."""
        from edgewright.training.student import Shape

        sizes: dict[str, Any] = {name: getattr(self, name) or 0 for name in self.__struct_fields__}
        return Shape(**sizes)

    def check(self, source: Source, setting: Setting) -> None:
        """Raise UsageError where no size is given, or heads do not divide the width."""
        from edgewright.training.student import check_sizes

        del setting
        if not self.shape().at_random:
            raise UsageError("student needs a size", hint="such as layers = 2")
        check_sizes(json.loads((source.directory / "config.json").read_text(encoding="utf-8")), self.shape())

    def apply(self, source: Source, out: Path, setting: Setting) -> None:
        """Make it, and save it."""
        from edgewright.compression.steps._model import save, task_of
        from edgewright.training.student import student_of

        save(student_of(source, task_of(source), self.shape(), setting.seed).inner, source, out)
