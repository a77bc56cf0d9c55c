"""prune-layers: keep some layers of a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from edgewright.compression.steps import Setting, Step
from edgewright.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.model.source import Source

__all__ = ["PruneLayers"]


class PruneLayers(Step, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Named ones, or a number of them, evenly from the first to the last (Sajjad et al. 2023, arXiv 2004.03844).

    Attributes:
        keep: their numbers, from 0, in order; or
        count: how many.
    """

    keep: tuple[Annotated[int, Meta(ge=0)], ...] = ()
    count: Annotated[int, Meta(ge=1)] | None = None

    def check(self, source: Source, setting: Setting) -> None:
        """Raise UsageError where nothing or two things are asked."""
        del source, setting
        if bool(self.keep) == (self.count is not None):
            raise UsageError("prune-layers takes either keep or count", hint="such as keep = [0, 2, 5]")
        if list(self.keep) != sorted(set(self.keep)):
            raise UsageError(f"prune-layers keeps {list(self.keep)}, which is not in order")

    def apply(self, source: Source, out: Path, setting: Setting) -> None:
        """Take the others out of the stack, and save."""
        del setting
        from edgewright.compression.steps._model import loaded, save
        from edgewright.training.student import take_layers

        model = loaded(source)
        have = model.config.num_hidden_layers
        if self.count is not None and self.count > have:
            raise UsageError(f"prune-layers shall keep {self.count} layers, the model has {have}")
        step = (have - 1) / max(1, (self.count or 1) - 1)
        take_layers(model, self.keep or tuple(round(at * step) for at in range(self.count or 1)))
        save(model, source, out)
