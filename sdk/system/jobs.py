"""Where a build does its dangerous work: a scratch directory, children under limits, a log that is kept on failure."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.system.child import Limits, call
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgewright.system.child import Asked, Child, Given

__all__ = ["Jobs"]


@dataclass(frozen=True)
class Jobs:
    """Runs functions in children."""

    scratch: Path
    limits: Limits = field(default_factory=Limits)
    progress: Callable[[str], None] = silent

    def run(self, child: Child[Asked, Given], request: Asked, *, preload: Sequence[str] = ()) -> Given:
        """Give what the function answers. Raises what it raises, or ChildFailed, whose hint names the log."""
        handle, name = tempfile.mkstemp(prefix="edgewright-", suffix=".log")
        os.close(handle)
        log = Path(name)
        answer = call(child, request, preload=preload, limits=self.limits, log=log, progress=self.progress)
        log.unlink()
        return answer
