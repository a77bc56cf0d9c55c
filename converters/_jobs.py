"""What runs in a converter's child: the eager reference, and the conversions to one format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from edgewright import arrays, registry
from edgewright.contracts import ConversionSpec
from edgewright.converters import _eager
from edgewright.errors import EdgewrightError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["convert", "reference"]


def reference(payload: dict[str, Any], progress: Callable[[str], None]) -> dict[str, Any]:
    """Run the eager model on the batches in `feeds` and write its outputs to `out`; return what it says of itself."""
    torch.set_num_threads(payload["threads"])
    progress("load the model")
    model = _eager.load(payload["source"])
    batches = arrays.load(Path(payload["feeds"]))
    progress(f"run the eager model on {len(batches)} batches")
    arrays.save(Path(payload["out"]), [_eager.run(model, batch) for batch in batches])
    return {"parameters": model.parameters_count()}


def convert(payload: dict[str, Any], progress: Callable[[str], None]) -> list[dict[str, str] | None]:
    """Make one artifact per entry of `artifacts` (precision and path); per entry None, or the error's record."""
    torch.set_num_threads(payload["threads"])
    progress("load the model")
    model = _eager.load(payload["source"])
    converter = registry.load("converters", payload["format"])()
    (example,) = arrays.load(Path(payload["example"]))
    return [_attempt(converter, model, example, payload, entry, progress) for entry in payload["artifacts"]]


def _attempt(
    converter: Any,
    model: _eager.Eager,
    example: Any,
    payload: dict[str, Any],
    entry: dict[str, str],
    progress: Callable[[str], None],
) -> dict[str, str] | None:
    spec = ConversionSpec(
        precision=entry["precision"],
        inputs=model.inputs,
        outputs=model.outputs,
        example={name: example[name] for name in model.inputs},
        max_length=payload["max_length"],
        progress=lambda phrase: progress(f"{payload['format']} {entry['precision']}: {phrase}"),
    )
    out = Path(entry["path"])
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        converter.convert(model, spec, out)
    except EdgewrightError as error:
        out.unlink(missing_ok=True)
        return error.record()
    return None
