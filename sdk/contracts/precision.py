"""Precisions: how an artifact keeps its weights, and whether its products are of integers. Their one list.

A precision is a plain string, in JSON, on the command line and in TOML; as a `Literal` a type checker sees a typo. What
a user gives is narrowed by `known`. A manifest holds names alone, since a bundle of a newer edgewright may have others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from edgewright.errors import UsageError, did_you_mean

__all__ = ["PRECISIONS", "Precision", "activations", "by_integers", "known", "suffix", "weight_bits"]

Precision: TypeAlias = Literal["fp32", "fp16", "int8", "int8-static", "int4"]


@dataclass(frozen=True)
class _Facts:
    weight_bits: int
    activations: Literal["float", "dynamic", "static"]


_FACTS: dict[Precision, _Facts] = {
    "fp32": _Facts(32, "float"),
    "fp16": _Facts(16, "float"),
    "int8": _Facts(8, "dynamic"),
    "int8-static": _Facts(8, "static"),
    "int4": _Facts(4, "dynamic"),
}
"""Bits of a weight, as the precision's name says."""

PRECISIONS: tuple[Precision, ...] = tuple(_FACTS)
"""From exact to small."""


def known(name: str) -> Precision:
    """`name` as a precision. Raises UsageError, which lists them and names the nearest."""
    if name not in _FACTS:
        what = f"unknown precision {name!r}{did_you_mean(name, PRECISIONS)}"
        raise UsageError(what, hint=f"choose from {', '.join(PRECISIONS)}")
    return name


def weight_bits(precision: str) -> int:
    """The bits of a weight, without the scales that many of them share; 32 where the precision is not known."""
    return _facts(precision).weight_bits


def activations(precision: str) -> Literal["float", "dynamic", "static"]:
    """What meets the weights: `float` numbers, also where the precision is not known, or integers of 8 bits.

    Their range is that of each text (`dynamic`), or was measured on others when the artifact was made (`static`).
    """
    return _facts(precision).activations


def by_integers(precision: str) -> bool:
    """Whether products with weights are of integers."""
    return activations(precision) != "float"


def suffix(precision: Precision) -> str:
    """What the name of an artifact's file ends in: nothing for fp32, else such as `_int8_static`."""
    return "" if precision == "fp32" else f"_{precision.replace('-', '_')}"


def _facts(precision: str) -> _Facts:
    return _FACTS.get(cast("Precision", precision), _FACTS["fp32"])
