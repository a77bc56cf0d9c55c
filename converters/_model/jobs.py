"""What runs in a converter's child: the eager reference, and the conversions to one format."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright import registry
from edgewright.contracts.converter import ConversionSpec
from edgewright.errors import EdgewrightError, GateFailed, one_line
from edgewright.model.conversion import ConversionAnswer
from edgewright.model.eager import ReferenceAnswer
from edgewright.statistics.signal import sqnr_db
from edgewright.system import arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.model.conversion import Conversion, Wanted
    from edgewright.model.eager import ReferenceRequest
    from edgewright.model.source import SourceJob

    Arrays = Mapping[str, NDArray[Any]]

__all__ = ["attempt", "convert", "read_spec", "reads_padding", "reference"]

_SAME_DB = 80.0
"""Between a text alone and beside others: a mask leaves float32's own noise, 100 dB and better; MobileBERT's embedding
of a token's neighbours leaves some 60."""


def reference(request: ReferenceRequest, progress: Callable[[str], None]) -> ReferenceAnswer:
    """Run the eager model on the batches and write its outputs; answer what it says of itself.

    Where the source has a library of its own, that is asked about the same texts.
    """
    progress("load the model")
    library = _library(request.source, request.threads)
    model = library.load(request.source)
    batches = arrays.load(request.feeds)
    progress(f"run the eager model on {len(batches)} batches")
    outputs = library.run_all(model, batches, request.threads)
    arrays.save(request.out, outputs)
    reads = reads_padding(partial(library.run, model), batches, outputs)
    count = model.parameters_count()
    del model, batches  # the source's own library loads it once more
    if request.asked is not None:
        _ask_outside(request, request.asked, progress)
    return ReferenceAnswer(count, reads)


def reads_padding(run: Callable[[Arrays], Arrays], batches: Sequence[Arrays], outputs: Sequence[Arrays]) -> bool:
    """Whether a text has other outputs alone than in the first of the batches that has padding."""
    padded = ((batch, made) for batch, made in zip(batches, outputs, strict=True) if not batch["attention_mask"].all())
    batch, made = next(padded, (None, None))
    if batch is None or made is None or "picked" in batch:
        return False
    row = int(batch["attention_mask"].sum(axis=1).argmin())
    real = np.flatnonzero(batch["attention_mask"][row])
    alone = run({name: array[row : row + 1, real] for name, array in batch.items()})
    beside = {name: array[row : row + 1] for name, array in made.items()}
    return any(
        sqnr_db(own, own - (beside[name] if beside[name].shape == own.shape else beside[name][:, real])) < _SAME_DB
        for name, own in alone.items()
    )


def _ask_outside(request: ReferenceRequest, asked: Path, progress: Callable[[str], None]) -> None:
    from edgewright.converters._model import outside

    try:
        outside.ask(request.source, asked, request.told, progress)
    except (EdgewrightError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of tokenizers is no Exception
        words = one_line(f"{type(error).__name__}: {error}", 300)
        what = f"the library of {request.source.origin} fails where edgewright does not: {words}"
        raise GateFailed(what, hint="what it says of these texts is not known") from error


def convert(request: Conversion, progress: Callable[[str], None]) -> ConversionAnswer:
    """Make the artifacts, each of them or the record of its error."""
    progress("load the model")
    model = _library(request.source, request.threads).load_to_convert(request.source)
    converter = registry.load("converters", request.format)()
    spec = read_spec(request, model)
    return ConversionAnswer(tuple(attempt(converter, model, spec, wanted, progress) for wanted in request.artifacts))


def read_spec(request: Conversion, model: Any) -> ConversionSpec:
    """The part of a specification that all artifacts of a conversion share."""
    example, *calibration = arrays.load(request.texts)
    return ConversionSpec(
        precision="fp32",  # of what is exported; each artifact has its own
        inputs=model.inputs,
        outputs=model.outputs,
        example=_taken(model, example),
        task=request.source.task,
        settings=request.source.settings,
        tokenizer=request.source.directory,
        calibration=[_taken(model, batch) for batch in calibration],
        byte_dots=request.byte_dots,
        int8_cache=request.int8_cache,
        shortlist=request.shortlist,
        about=request.about,
    )


def _library(source: SourceJob, threads: int) -> Any:
    """The module that loads and runs the eager model of this kind of source, with its threads set."""
    if source.keras:
        from edgewright.converters._model import keras

        return keras
    import torch

    from edgewright.converters._model import eager

    torch.set_num_threads(threads)
    return eager


def _taken(model: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    return {name: batch[name] for name in model.inputs}


def attempt(
    converter: Any, model: Any, spec: ConversionSpec, wanted: Wanted, progress: Callable[[str], None]
) -> dict[str, str] | None:
    """Make the artifact that is wanted; give None, or the error's record, with nothing left behind."""
    spec = replace(
        spec,
        precision=wanted.precision,
        keep_float=wanted.keep_float,
        progress=lambda phrase: progress(f"{converter.format} {wanted.precision}: {phrase}"),
    )
    out = wanted.path
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        converter.convert(model, spec, out)
    except EdgewrightError as error:
        out.unlink(missing_ok=True)
        return error.record()
    return None
