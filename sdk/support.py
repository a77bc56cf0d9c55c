"""What is not supported, in one table: format x precision x architecture x task. It is asked before any work starts."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GAPS", "Gap", "gap"]


@dataclass(frozen=True)
class Gap:
    """A part of the matrix that cannot be made, why, and what works instead; an empty field means any."""

    reason: str
    instead: str
    format: str = ""
    precision: str = ""
    model_type: str = ""
    task: str = ""


_PADDED = "it reads each token's neighbours without a mask, so padding a text to a bucket changes its answer"
_ANY_LENGTH = "onnx takes every length as it is"

GAPS: tuple[Gap, ...] = (
    Gap(reason=_PADDED, instead=_ANY_LENGTH, format="tflite", model_type="mobilebert"),
    Gap(reason=_PADDED, instead=_ANY_LENGTH, format="tflite", model_type="convbert"),
)


def gap(format: str, precision: str, *, model_type: str = "", task: str = "") -> Gap | None:  # noqa: A002
    """The first gap that covers a cell of the matrix, or None where it is supported."""
    cell = {"format": format, "precision": precision, "model_type": model_type, "task": task}
    return next((g for g in GAPS if all(getattr(g, key) in ("", value) for key, value in cell.items())), None)
