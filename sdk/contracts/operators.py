"""Times of single operators, as every engine's profiler is made to give them."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Operator", "Trace", "layer_of"]


class Operator(Struct, frozen=True, forbid_unknown_fields=True):
    """One operator of the graph that an engine ran.

    Attributes:
        name: as the engine calls it.
        kind: what it does, such as `MatMul`, in the engine's words.
        layer: the module of the source model that it belongs to, empty where that is not known.
        start_ms: when it began, from the start of a run.
        time_ms: what it took, the mean over the runs.
        macs: multiply-accumulates of one run; 0 for what is no product.
        moved_bytes: bytes of its inputs, weights and outputs.
        ran_by: the delegate or provider that ran it, empty where the engine did itself.
    """

    name: str
    kind: str
    layer: str
    start_ms: float
    time_ms: float
    macs: int = 0
    moved_bytes: int = 0
    ran_by: str = ""


class Trace(Struct, frozen=True, forbid_unknown_fields=True):
    """The operators of an inference.

    Attributes:
        run_ms: the session's own time with its profiler at work, the mean over the runs.
        plain_ms: the median without it: profiling costs time.
        runs: how many were profiled.
        delegate: the delegate or provider that was to run all of them; empty for an engine that has none.
    """

    operators: tuple[Operator, ...]
    run_ms: float
    plain_ms: float
    runs: int
    delegate: str = ""

    @property
    def rest_ms(self) -> float:
        """What the operators do not account for: between them, and around them."""
        return self.run_ms - sum(operator.time_ms for operator in self.operators)

    def __repr__(self) -> str:
        from edgewright.system.shown import brief

        return brief(self, f"{len(self.operators)} operators", f"{self.plain_ms:.3g} ms", self.delegate)


def layer_of(name: str) -> str:
    """The layer of a stack that a module is in: `bert.encoder.layer.3.output.dense` -> `bert.encoder.layer.3`."""
    parts = name.split(".")
    at = next((at for at, part in enumerate(parts) if part.isdecimal()), None)
    if at is not None:
        return ".".join(parts[: at + 1])
    return ".".join(parts[:2])
