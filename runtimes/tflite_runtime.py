"""tflite-runtime, LiteRT's predecessor: for boards with Python 3.11 or older and numpy 1.

Its last release, 2.14.0, computes dynamic int8 less exactly than LiteRT does, and crashes on some newer ARM cores.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from edgewright.contracts.engine import Runtime, Session
from edgewright.runtimes._quiet import quiet
from edgewright.runtimes._tflite import TfliteSession, check_magic, graphs_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TfliteRuntime"]


class TfliteRuntime(Runtime):
    """Opens `.tflite` files where LiteRT has no wheel."""

    engine = "tflite-runtime"
    has_buckets = True
    formats = ("tflite",)
    extra = "tflite-runtime"
    module = "tflite_runtime"
    package = "tflite-runtime"

    def _open(self, path: Path, *, threads: int) -> Session:
        check_magic(path)
        self.import_engine()
        with quiet():
            module = importlib.import_module("tflite_runtime.interpreter")
            return TfliteSession(graphs_of(module.Interpreter(str(path), num_threads=threads)), self.buckets)
