"""Training: fine-tune an encoder, distil it. What a name needs comes when it is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgewright.training.distilling import Distillation, distill
    from edgewright.training.fitting import Trained, train
    from edgewright.training.recipe import Recipe
    from edgewright.training.student import Shape

__all__ = ["Distillation", "Recipe", "Shape", "Trained", "distill", "train"]

_HOMES = {
    "Distillation": "distilling",
    "Recipe": "recipe",
    "Shape": "student",
    "Trained": "fitting",
    "distill": "distilling",
    "train": "fitting",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgewright.training' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"edgewright.training.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
