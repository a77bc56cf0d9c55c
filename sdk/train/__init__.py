"""Training: fine-tune an encoder, distil it, search for what to distil. What a name needs comes when it is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgewright.train.distilling import Distillation, distill
    from edgewright.train.fitting import Trained, fit
    from edgewright.train.recipe import Recipe
    from edgewright.train.search_front import Limits
    from edgewright.train.student import Shape

__all__ = ["Distillation", "Limits", "Recipe", "Shape", "Trained", "distill", "fit"]

_HOMES = {
    "Distillation": "distilling",
    "Limits": "search_front",
    "Recipe": "recipe",
    "Shape": "student",
    "Trained": "fitting",
    "distill": "distilling",
    "fit": "fitting",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgewright.train' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"edgewright.train.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
