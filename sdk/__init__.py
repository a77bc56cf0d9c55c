"""Small language models on edge devices: converted, proven, measured, installed.

    import edgewright as ew
    bundle = ew.build("path/to/model", formats=["onnx"], precisions=["fp32", "int8"], out="sentiment")
    ew.load(bundle)("a charming and often affecting journey")    # [Label(name='positive', score=0.99)]

Importing this package imports nothing beyond the standard library; what a name needs comes when the name is used.
"""

from edgewright._version import __version__

TYPE_CHECKING = False  # as in typing, which is imported by no one until `__main__` has looked after the import path
if TYPE_CHECKING:
    from typing import Any

    from edgewright.builder.build import build
    from edgewright.bundle.bundle import Bundle
    from edgewright.errors import EdgewrightError
    from edgewright.inference.pipeline import Pipeline, load
    from edgewright.measure.bench import bench
    from edgewright.proof.score import evaluate
    from edgewright.proof.verify import verify

__all__ = ["Bundle", "EdgewrightError", "Pipeline", "__version__", "bench", "build", "evaluate", "load", "verify"]

_HOMES = {
    "Bundle": "bundle.bundle",
    "EdgewrightError": "errors",
    "Pipeline": "inference.pipeline",
    "bench": "measure.bench",
    "build": "builder.build",
    "evaluate": "proof.score",
    "load": "inference.pipeline",
    "verify": "proof.verify",
}


def __getattr__(name: str) -> "Any":
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'edgewright' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"edgewright.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
