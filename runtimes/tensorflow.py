"""TensorFlow's own TFLite interpreter, for machines that have TensorFlow and no LiteRT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewright.contracts.engine import Runtime, Session
from edgewright.runtimes._quiet import quiet
from edgewright.runtimes._tflite import TfliteSession, check_magic, graphs_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TensorFlow"]


class TensorFlow(Runtime):
    """Opens `.tflite` files in `tf.lite.Interpreter`."""

    engine = "tensorflow"
    has_buckets = True
    formats = ("tflite",)
    extra = "tensorflow"
    module = "tensorflow"
    package = "tensorflow"

    def _open(self, path: Path, *, threads: int) -> Session:
        check_magic(path)
        with quiet():
            tensorflow = self.import_engine()
            return TfliteSession(graphs_of(tensorflow.lite.Interpreter(str(path), num_threads=threads)), self.buckets)
