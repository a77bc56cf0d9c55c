"""From a source to a bundle: convert in children, hold every artifact against the eager model, write what passed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright.boards.catalogue import named
from edgewright.builder.artifacts import Assembly
from edgewright.builder.plan import check_cache, check_shortlist, planned, supported, wanted_of
from edgewright.bundle.bundle import MANIFEST, Bundle
from edgewright.errors import UsageError
from edgewright.generation.shortlist import FILE as SHORTLIST
from edgewright.model.checkpoint import is_checkpoint, open_checkpoint
from edgewright.model.keras import is_keras, open_keras
from edgewright.model.source import EAGER, open_source
from edgewright.model.torch_module import export_module
from edgewright.proof.decoding import DecoderProof
from edgewright.proof.reference import Proof
from edgewright.proof.translating import TranslatorProof
from edgewright.system.atomic import staged
from edgewright.system.child import Limits
from edgewright.system.files import scratch
from edgewright.system.jobs import Jobs
from edgewright.system.preload import warm
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgewright.boards.catalogue import Profile
    from edgewright.builder.artifacts import AnyProof
    from edgewright.model.source import Source

__all__ = ["build"]


def build(
    model: Any,
    *,
    out: str | Path,
    formats: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    device: Profile | str | None = None,
    task: str | None = None,
    data: str | Path | None = None,
    calibration: str | Path | None = None,
    shortlist: str | Path | None = None,
    example_inputs: Mapping[str, Any] | None = None,
    tokenizer: str | Path | None = None,
    labels: Sequence[str] = (),
    max_length: int = 512,
    int8_cache: bool = False,
    allow_divergence: bool = False,
    leave_gaps: bool = False,
    version: int = 0,
    force: bool = False,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    progress: Callable[[str], None] = silent,
) -> Bundle:
    """Make a bundle of proven artifacts.

    Args:
        model: a Hugging Face directory or hub id, a `.gguf` file, a `.bin` of llama2.c, a `.keras` file, a SavedModel
            directory, or a `torch.nn.Module`.
        out: where the bundle shall be.
        formats: formats to convert to, by their keys; by default those that `device` runs best, or onnx.
        precisions: precisions of each format; by default those that `device` runs best, or fp32 and int8.
        device: a board's profile, or its name (`edgewright.boards.catalogue`). A decoder's int8 weights are stored as
            its CPU multiplies them best.
        task: the task's key; by default the one that the source's architecture belongs to. A module needs it.
        data: a TSV or JSONL file of labelled rows; then the task metric is a gate too.
        calibration: a file of labelled rows or of texts that int8-static measures ranges on; by default `data`, or
            without it the texts of the gate.
        shortlist: a file of sentence pairs, from which a translator's table of likely tokens is learnt: its ONNX
            artifacts are then held to those of a sentence, if that costs no more than the gate allows on `data`.
        example_inputs: for a module, its keyword arguments: int64 tensors (batch, length) of at least 2 rows.
        tokenizer: for a module or a Keras model, the directory of its tokenizer; of llama2.c the vocabulary's file.
        labels: for a module or a Keras model that classifies, the names of its classes.
        max_length: for a module or a Keras model, the largest number of tokens.
        int8_cache: keep a decoder's keys and values in 8 bits, in ONNX artifacts whose weights are integers.
        allow_divergence: keep artifacts that fail a gate; the manifest records the failure.
        leave_gaps: leave out what cannot be made, by the table of gaps, and make the rest.
        version: a counter to raise with each release; a board refuses to go down (`edgewright.boards.flash`).
        force: replace a bundle that is at `out` already.
        limits: memory and time of each child process.
        progress: called with a short phrase at each stage.

    Raises:
        InputError: the source, the data or a conversion is bad.
        GateFailed: an artifact failed. Where others passed, and nothing was at `out` before, they are written.
        StorageError: `out` exists, or cannot be written.
    """
    if not 0 <= version < 2**53:
        raise UsageError(f"version {version} is no counter", hint="give a whole number from 0")
    board = named(device) if isinstance(device, str) else device
    plan = planned(wanted_of(formats, precisions, board), leave_gaps=leave_gaps)
    there = os.path.lexists(out)
    with scratch() as folder:
        jobs = Jobs(folder, limits, progress)
        given = {"tokenizer": tokenizer, "task": task, "labels": labels, "max_length": max_length}
        source = _source(model, example_inputs, jobs, given)
        warm(() if source.keras else EAGER)
        plan = supported(plan, source, leave_gaps=leave_gaps)
        if int8_cache:
            check_cache(plan, source)
        if shortlist:
            check_shortlist(plan, source, Path(shortlist), _path(data))
        with staged(Path(out), marker=MANIFEST, force=force) as stage:
            learnt = (Path(shortlist), stage / SHORTLIST) if shortlist else None
            proof = _proof(source, jobs, data, calibration, learnt)
            source = replace(source, settings=proof.settings)
            work = Assembly(source, stage, jobs, proof, allow_divergence=allow_divergence)
            work.byte_dots, work.int8_cache = board is None or board.cpu.byte_dots, int8_cache
            work.shortlist = bool(shortlist)
            work.packages |= {"tensorflow"} if source.keras else set()
            work.make(plan)
            if work.failures and (there or not work.artifacts):
                raise work.failure("nothing was written")
            work.write(version)
    if work.failures:
        raise work.failure(f"{out} holds what passed: {', '.join(a.key for a in work.artifacts)}")
    return Bundle.open(out)


def _proof(
    source: Source,
    jobs: Jobs,
    data: str | Path | None,
    calibration: str | Path | None,
    shortlist: tuple[Path, Path] | None,
) -> AnyProof:
    """What the artifacts are held against: a decoder's are asked to predict and to write."""
    task = registry.load("tasks", source.task)
    if not task.generates:
        return Proof(source, jobs, labelled=_path(data), calibration=_path(calibration))
    if calibration or (data and not task.reads_source):
        raise UsageError("a decoder's gate has texts of its own", hint="leave out --data and --calibration")
    if task.reads_source:
        return TranslatorProof(source, jobs, labelled=_path(data), shortlist=shortlist)
    return DecoderProof(source, jobs)


def _source(model: Any, example_inputs: Mapping[str, Any] | None, jobs: Jobs, given: dict[str, Any]) -> Source:
    """The source of a model of any kind; `given` is what a model that comes without a configuration needs."""
    if not isinstance(model, str | Path):
        return export_module(model, example_inputs, jobs.scratch, **given)
    if is_keras(model):
        return open_keras(model, **given)
    if is_checkpoint(model) and not given["labels"]:
        return open_checkpoint(model, jobs, tokenizer=given["tokenizer"], task=given["task"])
    if given["tokenizer"] or given["labels"]:
        hint = "a tokenizer and labels are given with a Keras model or a torch.nn.Module alone"
        raise UsageError(f"{model} brings its own tokenizer and labels", hint=hint)
    return open_source(model, task=given["task"])


def _path(given: str | Path | None) -> Path | None:
    return Path(given) if given else None
