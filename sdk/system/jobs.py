"""Where a build does its dangerous work: a scratch directory, children under limits, a log that is kept on failure."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.errors import ChildFailed
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
        """Give what the function answers. Raises what it raises, or ChildFailed, whose hint names the log.

        No log is kept that nothing names: a child that says what is wrong has said it.
        """
        handle, name = tempfile.mkstemp(prefix="log-", dir=self.scratch)
        os.close(handle)
        try:
            return call(child, request, preload=preload, limits=self.limits, log=Path(name), progress=self.progress)
        except ChildFailed as error:
            if name not in error.hint:
                raise
            handle, kept = tempfile.mkstemp(prefix="edgewright-", suffix=".log")
            os.close(handle)
            raise ChildFailed(error.message, hint=error.hint.replace(name, shutil.move(name, kept))) from error
        finally:
            Path(name).unlink(missing_ok=True)
