"""Why a lower precision is as fast as it is: the same model's operators in float32 and in it, part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewright.contracts.precision import known, weight_bits
from edgewright.errors import UsageError
from edgewright.measure.profile import Profile, profile
from edgewright.system.machine import machine
from edgewright.system.shown import Results, brief

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.bundle.bundle import Bundle
    from edgewright.contracts.operators import Operator

__all__ = ["Part", "explain", "parts"]

_DOT_PRODUCTS = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
_STEPS = ("Quantize", "Dequantize", "Cast", "Mul", "quantize", "dequantize", "aten::to", "aten::mul")


@dataclass(frozen=True)
class Part:
    """What a group of operators takes in float32 and in the lower precision, and what that says."""

    what: str
    fp32_ms: float
    other_ms: float
    why: str

    def __repr__(self) -> str:
        return brief(self, f"{self.what}: {self.fp32_ms:.3g} ms in fp32", f"{self.other_ms:.3g} ms", self.why)

    def cells(self) -> dict[str, Any]:
        """The columns of a table."""
        return {"what": self.what, "fp32, ms": self.fp32_ms, "other, ms": self.other_ms, "why": self.why}


def explain(
    bundle: Bundle | str | Path,
    precision: str,
    *,
    format: str = "onnx",  # noqa: A002
    tokens: int = 128,
    threads: int = 1,
) -> Results[Part]:
    """Profile a format in float32 and in `precision`.

    Raises what `profile` raises, and UsageError for fp32 itself, or what is no precision.
    """
    if known(precision) == "fp32":
        raise UsageError("fp32 is what others are held against", hint="give another precision, such as --why int8")
    both = [profile(bundle, format=format, precision=p, tokens=tokens, threads=threads) for p in ("fp32", precision)]
    return parts(*both)


def parts(fp32: Profile, other: Profile) -> Results[Part]:
    """The whole, then the groups in which the two differ or stay the same."""
    rows = Results([Part("a whole run, without the profiler", fp32.trace.plain_ms, other.trace.plain_ms, "")])
    spent = [_groups(found) for found in (fp32, other)]
    reasons = {
        "products with weights": _products(other, *(group.get("products with weights", 0.0) for group in spent)),
        "products of attention": "of activations: they stay in float",
        "quantize, dequantize, scale": "what turns numbers into integers and back, and what float32 has of these kinds",
        "other operators": "they stay in float: " + ", ".join(_kinds(other)[:4]),
        "between operators": "the engine's and its profiler's own",
    }
    for what, why in reasons.items():
        a, b = (group.get(what, 0.0) for group in spent)
        if a or b:
            rows.append(Part(what, a, b, why))
    return rows


def _groups(found: Profile) -> dict[str, float]:
    groups = {"between operators": found.trace.rest_ms}
    for operator in found.trace.operators:
        what = _group(operator)
        groups[what] = groups.get(what, 0.0) + operator.time_ms
    return groups


def _group(operator: Operator) -> str:
    kind = operator.kind
    if "ttention" in kind or kind.startswith("Batch Matrix"):
        return "products of attention"
    if operator.macs or "MatMul" in kind or "quantized::linear" in kind:
        return "products with weights"
    return "quantize, dequantize, scale" if any(step in kind for step in _STEPS) else "other operators"


def _kinds(found: Profile) -> list[str]:
    """The kinds of the other operators, those that take longest first."""
    took: dict[str, float] = {}
    for operator in found.trace.operators:
        if _group(operator) == "other operators":
            took[operator.kind] = took.get(operator.kind, 0.0) + operator.time_ms
    return sorted(took, key=lambda kind: -took[kind])


def _products(other: Profile, before_ms: float, now_ms: float) -> str:
    """How much faster the products became, and what this machine's instructions allow."""
    allowed = other.peaks.int8_gmac_s / other.peaks.fp32_gmac_s
    words = f"{before_ms / now_ms:.1f} times as fast; this machine's peaks allow {allowed:.1f}" if now_ms else ""
    if not any(flag in machine()["cpu"] for flag in _DOT_PRODUCTS):
        words += "; the processor has no int8 dot products (VNNI, dotprod), so integers gain little"
    if weight_bits(other.artifact.precision) == 16:
        words += "; its weights are stored in 16 bits, and a CPU may compute in 32"
    return words
