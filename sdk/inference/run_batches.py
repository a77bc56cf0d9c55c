"""A child's work: batches through an engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from edgewright import registry
from edgewright.system import arrays
from edgewright.text.encoding import picked

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["run_engine"]


def run_engine(payload: dict[str, Any], progress: Callable[[str], None]) -> dict[str, Any]:
    """A child's work: open `artifact` in its engine, run the batches in `feeds`, write the outputs to `out`.

    One thread, so that the same artifact gives the same numbers wherever the order of additions would matter; with
    `plain` also without the engine's own optimisations. Returns the artifact's signature.
    """
    batches = arrays.load(Path(payload["feeds"]))
    runtime = registry.load("runtimes", payload["engine"])()
    runtime.plain = payload.get("plain", False)
    session = runtime.open(Path(payload["artifact"]), threads=1)
    progress(f"{payload['name']}: gate, {len(batches)} calls")
    arrays.save(Path(payload["out"]), [picked(session.run(batch), batch) for batch in batches])
    return {side: [to_builtins(spec) for spec in getattr(session, side)] for side in ("inputs", "outputs")}
