"""The eager fp32 model: loaded from a source, checked, and run. It is the truth that every artifact is held against."""

from __future__ import annotations

import inspect
import logging
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import torch

from edgewright import registry
from edgewright.converters._model.last_layer import cut
from edgewright.converters._model.vectors import around
from edgewright.errors import SourceError
from edgewright.model.loading import body_class
from edgewright.model.pruned import mend
from edgewright.model.source import beyond
from edgewright.text.encoding import picked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.model.source import SourceJob

__all__ = ["Eager", "load", "load_to_convert", "run", "run_all"]

_FEEDS = ("input_ids", "attention_mask", "token_type_ids")


class Eager(torch.nn.Module):  # type: ignore[misc]
    """A model reduced to the inputs that it takes and the outputs that its task needs.

    `forward(*arrays)`, each int64 (batch, length) in the order of `inputs`, returns a tuple in the order of `outputs`.
    """

    def __init__(self, model: torch.nn.Module, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        super().__init__()
        self.model, self.inputs, self.outputs = model, tuple(inputs), tuple(outputs)

    def forward(self, *arrays: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run the model and pick its outputs."""
        return self.pick(arrays, self.outputs)

    def pick(self, arrays: Sequence[torch.Tensor], names: Sequence[str]) -> tuple[torch.Tensor, ...]:
        """Run the model and pick what it calls `names`, or as many where it names nothing."""
        given = self.model(**dict(zip(self.inputs, arrays, strict=True)))
        if isinstance(given, torch.Tensor):
            return (given,)
        if isinstance(given, tuple | list):
            return tuple(given[: len(names)])
        return tuple(given[name] for name in names)

    def parameters_count(self) -> int:
        """Number of weights, shared ones counted once."""
        return sum(p.numel() for p in self.parameters())


def load(source: SourceJob) -> Eager:
    """Load a source's model.

    Raises:
        SourceError: the weights do not fit the architecture, a head is missing, or a weight is not finite.
    """
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    outputs = registry.load("tasks", source.task)(source.settings).outputs
    if source.exported:
        model, inputs = _exported(source.exported)
    else:
        model, inputs = _pretrained(source)
        _check_size(model, source)
    _check_finite(model)
    return Eager(model if source.exported else model.eval(), inputs, outputs)


def load_to_convert(source: SourceJob) -> Eager:
    """Load it as converters take it: with the same answers, and without work that no answer needs."""
    model = load(source)
    cut(model.model, source.task)
    return model


@torch.inference_mode()  # type: ignore[untyped-decorator]
def run(model: Eager, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """One batch: int64 (batch, length) arrays by name -> float32 arrays by output name."""
    tensors = [torch.from_numpy(feeds[name]) for name in model.inputs]
    return {name: out.float().numpy() for name, out in zip(model.outputs, model(*tensors), strict=True)}


def run_all(model: Eager, batches: Sequence[Mapping[str, NDArray[Any]]], threads: int) -> list[dict[str, NDArray[Any]]]:
    """What a task keeps of `run` on every batch, several at a time, each on one thread.

    Threads that share one short text wait for each other longer than they work, on a busy machine by far.
    """
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(lambda batch: picked(run(model, batch), batch), batches))


def _exported(path: Path) -> tuple[torch.nn.Module, list[str]]:
    program = torch.export.load(path)
    return program.module(), [s.arg.name for s in program.graph_signature.input_specs if s.kind.name == "USER_INPUT"]


def _pretrained(source: SourceJob) -> tuple[torch.nn.Module, list[str]]:
    body = None if source.kind == "static" else _transformer(source)
    model = around(source, body) or body
    return model, _inputs(model)


def _transformer(source: SourceJob) -> torch.nn.Module:
    import transformers

    vectors = source.kind == "setfit" or source.task == "feature-extraction"
    name = body_class(source.directory) if vectors else registry.load("tasks", source.task).auto_class
    kind = getattr(transformers, name)
    try:
        model, info = kind.from_pretrained(
            str(source.directory),
            dtype=torch.float32,
            attn_implementation="eager",
            local_files_only=True,
            trust_remote_code=False,  # no file of a model is code
            weights_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, with the numbers
        )
    except Exception as error:
        raise SourceError(f"{source.directory} does not load: {type(error).__name__}: {error}") from error
    info["mismatched_keys"] = mend(model, source.directory, info["mismatched_keys"])
    _check_complete(info, source)
    if registry.load("tasks", source.task).reads_source:
        _check_tables(model, info, source)
    return model


def _inputs(model: Any) -> list[str]:
    """The tokenizer's arrays that the model takes; segment ids only where there is more than one segment."""
    taken = getattr(model, "body", model)
    taken = inspect.signature(taken.forward).parameters
    return [name for name in _FEEDS if name in taken and (name != "token_type_ids" or _has_segments(model))]


def _has_segments(model: Any) -> bool:
    """Whether segments have a table of their own: GPT-2 and its kin would look theirs up among the words."""
    config = getattr(model, "config", None)
    count = getattr(config, "type_vocab_size", None)
    if config is None or count is not None:
        return count is None or count > 1
    return any(part in name for name, _ in model.named_parameters() for part in ("token_type", "seg_embed"))


def _check_complete(info: Mapping[str, Any], source: SourceJob) -> None:
    """Refuse a head that is not in the file: it would be random numbers. A pooler that nothing needs may be missing."""
    home, hint = (
        source.directory,
        f"is it a {source.task} model? fine-tune it first, or name its own task with --task",
    )
    spare = source.task == "feature-extraction" or source.kind == "setfit"
    missing = sorted(key for key in info["missing_keys"] if not (spare and "pooler" in key))
    if missing:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise SourceError(f"weights {shown} are missing from {home}", hint=hint)
    fits = "do the labels fit the head?" if source.settings.labels else "is config.json that of these weights?"
    for name, found, wanted in sorted(info["mismatched_keys"]):
        shapes = f"{list(found)}, config.json asks for {list(wanted)}"
        raise SourceError(f"weight {name} in {home} has the shape {shapes}", hint=fits)


def _check_tables(model: Any, info: Mapping[str, Any], source: SourceJob) -> None:
    """Refuse an encoder-decoder whose tables are not those of its file: transformers ties what it misses in silence.

    A T5 of version 1.1 has a head of its own; without it, or without its embedding, the one would stand for the other.
    """
    home, hint = source.directory, "copy or download the model again, or save it with the transformers that trained it"
    unexpected = sorted(info["unexpected_keys"])
    if unexpected:
        shown = ", ".join(unexpected[:3]) + (f" and {len(unexpected) - 3} more" if len(unexpected) > 3 else "")
        raise SourceError(f"{home} has weights that its model has no place for: {shown}", hint=hint)
    one = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    if one and getattr(model.config, "scale_decoder_outputs", True) is False:
        what = f"{home} has one table for embedding and head, config.json says two (scale_decoder_outputs is false)"
        raise SourceError(what, hint=hint)


def _check_size(model: Any, source: SourceJob) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    if source.largest_id >= rows:
        raise beyond(source.directory, source.largest_id, rows)
    if source.kind == "setfit":
        return  # its own labels fit its own head
    head, labels = getattr(model.config, "num_labels", None), len(source.settings.labels)
    if labels and head != labels:
        raise SourceError(f"config.json names {labels} labels, the head has {head}")


def _check_finite(model: torch.nn.Module) -> None:
    bad = [name for name, weight in model.named_parameters() if not bool(torch.isfinite(weight).all())]
    if bad:
        raise SourceError(
            f"weights {', '.join(bad[:3])} hold NaN or infinity",
            hint="the training diverged; take an earlier checkpoint",
        )
