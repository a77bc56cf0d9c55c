"""Models whose layers have fewer heads than their configuration says.

A configuration of transformers gives one number of heads for all layers, of a width that follows from it. A model with
heads removed is saved with its real, smaller matrices and `"edgewright_pruned": true` in config.json; `mend` gives a
loaded model those matrices. BERT, ELECTRA and RoBERTa read the number of heads off their shapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["FAMILIES", "FLAG", "is_pruned", "mend"]

FLAG = "edgewright_pruned"
FAMILIES = ("bert", "electra", "roberta", "xlm-roberta", "camembert")
"""Whose attention takes any number of heads."""

_Mismatch = tuple[str, Any, Any]


def is_pruned(model: Any) -> bool:
    """Whether a model's configuration says that its layers have heads of their own number."""
    return bool(getattr(model.config, FLAG, False)) and model.config.model_type in FAMILIES


def mend(model: Any, directory: Path, mismatched: Iterable[_Mismatch]) -> list[_Mismatch]:
    """Put the saved matrices that do not fit into a pruned model.

    Args:
        model: as transformers loaded it, with `ignore_mismatched_sizes`.
        directory: where its weights lie, as safetensors.
        mismatched: (name, saved shape, shape in the model) of what did not fit.

    Returns:
        What still does not fit: everything, where the model says of itself that nothing was removed.
    """
    wrong = list(mismatched)
    if not wrong or not is_pruned(model):
        return wrong
    from safetensors import safe_open
    from torch import nn

    left = []
    with safe_open(directory / "model.safetensors", "pt") as file:
        for one in wrong:
            parent, _, field = str(one[0]).rpartition(".")
            module = model.get_submodule(parent)
            if ".attention." not in f".{parent}." or not isinstance(module, nn.Linear):
                left.append(one)
                continue
            setattr(module, field, nn.Parameter(file.get_tensor(one[0]).to(module.weight.dtype)))
            if field == "weight":
                module.out_features, module.in_features = module.weight.shape
    return left
