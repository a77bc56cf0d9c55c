"""store: the number type of the weights' file, and how large the whole may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from edgewright.compression.steps import Setting, Step
from edgewright.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.model.source import Source

__all__ = ["Store"]


class Store(Step, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Half of the bytes to keep and to send; everything here computes in float32 all the same. It comes last.

    Attributes:
        dtype: of the stored weights.
        max_bytes: of all files together, weights, tokenizer and configuration; 0 for any number.
    """

    dtype: Literal["float16", "float32"] = "float16"
    max_bytes: Annotated[int, Meta(ge=0)] = 0
    translates: ClassVar[bool] = True

    def apply(self, source: Source, out: Path, setting: Setting) -> None:
        """Convert, save, weigh."""
        del setting
        import torch

        from edgewright.compression.steps._model import loaded, save

        model = loaded(source).to(getattr(torch, self.dtype))
        lost = [name for name, parameter in model.named_parameters() if not parameter.isfinite().all()]
        if lost:
            raise UsageError(f"store: {lost[0]} has numbers that {self.dtype} does not hold", hint="store float32")
        save(model, source, out)
        size = sum(path.stat().st_size for path in out.iterdir())
        if self.max_bytes and size > self.max_bytes:
            what = f"store: the model has {size} bytes, at most {self.max_bytes} are wanted"
            raise UsageError(what, hint="keep fewer tokens, layers or neurons, and go on with --resume")
