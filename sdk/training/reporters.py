"""Who else is told how a training run goes: TensorBoard, Weights & Biases, MLflow, by transformers' own callbacks."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from edgewright.errors import MissingExtra, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["REPORTERS", "check_reporters"]

REPORTERS = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",), "mlflow": ("mlflow",)}
"""By transformers' name (`TrainingArguments.report_to`), the packages of which one has to be installed."""


def check_reporters(names: Sequence[str]) -> tuple[str, ...]:
    """The names, once each of them is known and installed.

    Raises:
        UsageError: one is not known.
        MissingExtra: its package is not installed.
    """
    for name in names:
        if name not in REPORTERS:
            what = f"unknown report_to {name!r}{did_you_mean(name, REPORTERS)}"
            raise UsageError(what, hint=f"choose from {', '.join(REPORTERS)}")
        if not any(find_spec(package) for package in REPORTERS[name]):
            raise MissingExtra(f"{REPORTERS[name][0]} is not installed", hint=f"run: pip install {REPORTERS[name][0]}")
    return tuple(names)
