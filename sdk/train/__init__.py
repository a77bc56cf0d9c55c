"""Training: fine-tune an encoder for a task, distil it into a smaller one. Torch is imported only when a run begins."""

from __future__ import annotations

from edgewright.train.distilling import Distillation, distill
from edgewright.train.fitting import Trained, fit
from edgewright.train.recipe import Recipe
from edgewright.train.student import Shape

__all__ = ["Distillation", "Recipe", "Shape", "Trained", "distill", "fit"]
