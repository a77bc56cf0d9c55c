"""Where a build does its dangerous work: a scratch directory, children under limits, a log that is kept on failure."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright.system.child import Limits, call

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EAGER", "Jobs"]

EAGER = ("torch", "transformers.modeling_utils")
"""What a job with a source needs, unless it is a Keras model: seconds of imports."""


@dataclass(frozen=True)
class Jobs:
    """Runs named functions in children; arguments are paths and plain values."""

    scratch: Path
    limits: Limits = field(default_factory=Limits)
    progress: Callable[[str], None] = field(default=lambda _: None)

    def run(self, target: str, **payload: Any) -> Any:
        """Give what `module:function` returns. Raises what it raises, or ChildFailed, whose hint names the log."""
        handle, name = tempfile.mkstemp(prefix="edgewright-", suffix=".log")
        os.close(handle)
        source = payload.get("source")
        preload = EAGER if source and not source["keras"] else ()
        result = call(target, payload, preload=preload, limits=self.limits, log=Path(name), progress=self.progress)
        Path(name).unlink()
        return result
