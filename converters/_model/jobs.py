"""What runs in a converter's child: the eager reference, and the conversions to one format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgewright import registry
from edgewright.bundle.manifest import Settings
from edgewright.contracts.converter import ConversionSpec
from edgewright.errors import EdgewrightError
from edgewright.system import arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["attempt", "convert", "read_spec", "reference"]


def reference(payload: dict[str, Any], progress: Callable[[str], None]) -> dict[str, Any]:
    """Run the eager model on the batches in `feeds` and write its outputs to `out`; return what it says of itself."""
    progress("load the model")
    library = _library(payload)
    model = library.load(payload["source"])
    batches = arrays.load(Path(payload["feeds"]))
    progress(f"run the eager model on {len(batches)} batches")
    arrays.save(Path(payload["out"]), library.run_all(model, batches, payload["threads"]))
    return {"parameters": model.parameters_count()}


def convert(payload: dict[str, Any], progress: Callable[[str], None]) -> list[dict[str, str] | None]:
    """Make an artifact per entry (precision, path, keep_float); give None or the error's record for each."""
    progress("load the model")
    model = _library(payload).load_to_convert(payload["source"])
    converter = registry.load("converters", payload["format"])()
    spec = read_spec(payload, model)
    return [attempt(converter, model, spec, entry, progress) for entry in payload["artifacts"]]


def read_spec(payload: dict[str, Any], model: Any) -> ConversionSpec:
    """The part of a specification that all artifacts of a job share."""
    example, *calibration = arrays.load(Path(payload["texts"]))
    return ConversionSpec(
        precision="fp32",  # of what is exported; each artifact has its own
        inputs=model.inputs,
        outputs=model.outputs,
        example=_taken(model, example),
        task=payload["source"]["task"],
        settings=msgspec.convert(payload["settings"], Settings),
        tokenizer=Path(payload["source"]["directory"]),
        calibration=[_taken(model, batch) for batch in calibration],
    )


def _library(payload: Mapping[str, Any]) -> Any:
    """The module that loads and runs the eager model of this kind of source, with its threads set."""
    if payload["source"]["keras"]:
        from edgewright.converters._model import keras

        return keras
    import torch

    from edgewright.converters._model import eager

    torch.set_num_threads(payload["threads"])
    return eager


def _taken(model: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    return {name: batch[name] for name in model.inputs}


def attempt(
    converter: Any, model: Any, spec: ConversionSpec, entry: dict[str, Any], progress: Callable[[str], None]
) -> dict[str, str] | None:
    """Make the artifact that `entry` asks for; give None, or the error's record, with nothing left behind."""
    spec = replace(
        spec,
        precision=entry["precision"],
        keep_float=tuple(entry["keep_float"]),
        progress=lambda phrase: progress(f"{converter.format} {entry['precision']}: {phrase}"),
    )
    out = Path(entry["path"])
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        converter.convert(model, spec, out)
    except EdgewrightError as error:
        out.unlink(missing_ok=True)
        return error.record()
    return None
