"""The settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from edgewright.errors import UsageError

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """AdamW (Loshchilov and Hutter, arXiv 1711.05101) with a linear warm-up and a linear decay.

    Attributes:
        learning_rate: at its highest.
        epochs: passes over the data; a part of one is allowed.
        batch: rows of a batch, on each device.
        accumulation: batches whose gradients are added up for one step.
        warmup: the share of the steps in which the learning rate rises.
        weight_decay: of matrices; biases and norms have none.
        clip: the largest norm of the gradients.
        evaluations: how often a pass is scored, evenly; the best model is kept.
        patience: stop after so many evaluations without a better one; 0 for never.
        seed: of the new head, the order of the rows and the dropout.
        precision: of the products: fp32, bf16, or fp16 with a scaled loss; weights stay float32.
        max_length: texts are cut at so many tokens; 0 for the model's own largest length.
        threads: of torch on a CPU; 0 for its own choice.
    """

    learning_rate: float = 5e-5
    epochs: float = 2.0
    batch: int = 32
    accumulation: int = 1
    warmup: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    evaluations: int = 4
    patience: int = 0
    seed: int = 0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    max_length: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        """Raise UsageError for a value outside of its range."""
        least: dict[str, float] = {"batch": 1, "accumulation": 1, "evaluations": 1}
        for field in fields(self):
            value: Any = getattr(self, field.name)
            if isinstance(value, str):
                continue
            low = least.get(field.name, 0)
            above = field.name in {"learning_rate", "epochs", "clip"}
            if not (value > 0 if above else value >= low) or value != value or value == float("inf"):  # noqa: PLR0124
                raise UsageError(f"{field.name} is {value}, it must be {'above 0' if above else f'at least {low:g}'}")
        if self.warmup > 1:
            raise UsageError(f"warmup is {self.warmup:g}, a share of the steps is at most 1")
        if self.precision not in ("fp32", "bf16", "fp16"):
            raise UsageError(f"unknown precision {self.precision!r}", hint="choose from fp32, bf16, fp16")
