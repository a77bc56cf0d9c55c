"""Training: fine-tune an encoder, distil it, train a decoder from nothing. What a name needs comes when it is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgewright.training.decoder_shape import DecoderShape
    from edgewright.training.distilling import Distillation, distill
    from edgewright.training.fitting import Trained, train
    from edgewright.training.pretraining import Pretrained, pretrain
    from edgewright.training.pretraining_recipe import PretrainingRecipe
    from edgewright.training.recipe import Recipe
    from edgewright.training.student import Shape

__all__ = [
    "DecoderShape",
    "Distillation",
    "Pretrained",
    "PretrainingRecipe",
    "Recipe",
    "Shape",
    "Trained",
    "distill",
    "pretrain",
    "train",
]

_HOMES = {
    "DecoderShape": "decoder_shape",
    "Distillation": "distilling",
    "Pretrained": "pretraining",
    "PretrainingRecipe": "pretraining_recipe",
    "Recipe": "recipe",
    "Shape": "student",
    "Trained": "fitting",
    "distill": "distilling",
    "pretrain": "pretraining",
    "train": "fitting",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgewright.training' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"edgewright.training.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
