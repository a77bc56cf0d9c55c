"""The settings of a training from nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from edgewright.errors import UsageError

__all__ = ["PretrainingRecipe"]

_Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class PretrainingRecipe:
    """AdamW (Loshchilov and Hutter, arXiv 1711.05101), a linear warm-up and a cosine decay (arXiv 1608.03983).

    Attributes:
        epochs: passes over the tokens; a part of one is allowed.
        tokens: stop after so many tokens instead; 0 for `epochs`.
        batch: rows of a batch, of the model's context each, on each device.
        accumulation: batches whose gradients are added up for one step.
        learning_rate: at its highest.
        floor: where the decay ends, as a share of the highest.
        warmup: the share of the steps in which the learning rate rises.
        weight_decay: of matrices; biases and norms have none.
        beta2: of AdamW's squares; beta1 is 0.9.
        clip: the largest norm of the gradients.
        dropout: the share of activations left out: of attention's in Llama's shape, of every layer's in GPT-2's; LFM2's
            has none.
        validation: the share of the documents that is not trained on.
        evaluations: how often validation is looked at, evenly; the best model is kept.
        evaluation_tokens: tokens of validation that are looked at, at most.
        checkpointing: compute a layer's activations again on the way back, instead of keeping them: less memory.
        seed: of the weights, the order of the rows and the dropout.
        precision: of the products: fp32, bf16, or fp16 with a scaled loss; weights stay float32. auto is bf16 on a GPU
            or CPU that multiplies it faster, else fp32.
        threads: of torch on a CPU; 0 for its own choice.
    """

    epochs: float = 4.0
    tokens: int = 0
    batch: int = 16
    accumulation: int = 1
    learning_rate: float = 1e-3
    floor: float = 0.1
    warmup: float = 0.02
    weight_decay: float = 0.1
    beta2: float = 0.95
    clip: float = 1.0
    dropout: float = 0.0
    validation: float = 0.02
    evaluations: int = 20
    evaluation_tokens: int = 262_144
    checkpointing: bool = False
    seed: int = 0
    precision: _Precision = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        """Raise UsageError for a value outside of its range."""
        for field in fields(self):
            value: Any = getattr(self, field.name)
            if isinstance(value, (str, bool)):
                continue
            whole = isinstance(field.default, int) and field.name not in ("tokens", "seed", "threads")
            above = field.name in {"learning_rate", "epochs", "clip", "validation"}
            fits = value > 0 if above else value >= (1 if whole else 0)
            if not fits or not math.isfinite(value):
                raise UsageError(f"{field.name} is {value}, it must be {'above 0' if above else f'at least {whole:d}'}")
        for name in ("warmup", "floor", "dropout", "validation", "beta2"):
            share, most = getattr(self, name), 1.0 if name in ("warmup", "floor") else 0.999
            if share > most:
                raise UsageError(f"{name} is {share:g}, a share of at most {most:g}")
        if self.precision not in get_args(_Precision):
            raise UsageError(
                f"unknown precision {self.precision!r}", hint=f"choose from {', '.join(get_args(_Precision))}"
            )

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0."""
        rising = max(1, round(self.warmup * steps))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        done = (step - rising) / max(1, steps - rising)
        return self.learning_rate * (self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2)
