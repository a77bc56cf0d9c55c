"""From a source to a bundle: convert in children, hold every artifact against the eager model, write what passed."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright import arrays, registry
from edgewright.bundle import GOLDEN, MANIFEST, Bundle
from edgewright.child import Limits
from edgewright.engines import engine_for
from edgewright.errors import EdgewrightError, GateFailed, StorageError, UnsupportedConversion, UsageError, from_record
from edgewright.files import sha256
from edgewright.jobs import Jobs
from edgewright.manifest import Artifact, File, Manifest, TensorSpec, encode
from edgewright.manifest import Source as Origin
from edgewright.proof import Proof
from edgewright.source import Source, export_module, open_source
from edgewright.staging import staged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.contracts import Converter

    Plan = list[tuple[type[Converter], list[str]]]

__all__ = ["build"]

_COPIED = ("config.json", "tokenizer.json", "tokenizer_config.json")


def build(
    model: Any,
    *,
    out: str | Path,
    formats: Sequence[str] = ("onnx",),
    precisions: Sequence[str] = ("fp32", "int8"),
    task: str | None = None,
    data: str | Path | None = None,
    example_inputs: Mapping[str, Any] | None = None,
    tokenizer: str | Path | None = None,
    labels: Sequence[str] = (),
    max_length: int = 512,
    allow_divergence: bool = False,
    force: bool = False,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    progress: Callable[[str], None] = lambda _: None,
) -> Bundle:
    """Make a bundle of proven artifacts.

    Args:
        model: a Hugging Face directory or hub id, or a `torch.nn.Module`.
        out: where the bundle shall be.
        formats: formats to convert to, by their keys.
        precisions: precisions of each format.
        task: the task's key; by default the one that the source's architecture belongs to. A module needs it.
        data: a TSV or JSONL file of labelled rows; then the task metric is a gate too.
        example_inputs: for a module, its keyword arguments: int64 tensors (batch, length) of at least 2 rows.
        tokenizer: for a module, the directory of its tokenizer.
        labels: for a module that classifies, the names of its classes.
        max_length: for a module, the largest number of tokens.
        allow_divergence: keep artifacts that fail a gate; the manifest records the failure.
        force: replace a bundle that is at `out` already.
        limits: memory and time of each child process.
        progress: called with a short phrase at each stage.

    Raises:
        InputError: the source, the data or a conversion is bad.
        GateFailed: an artifact failed. Where others passed, and nothing was at `out` before, they are written.
        StorageError: `out` exists, or cannot be written.
    """
    plan = _plan(formats, precisions)
    there = os.path.lexists(out)
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        jobs = Jobs(Path(scratch), limits, progress)
        if isinstance(model, str | Path):
            source = open_source(model, task=task)
        else:
            source = export_module(
                model,
                example_inputs,
                jobs.scratch,
                tokenizer=tokenizer,
                task=task,
                labels=labels,
                max_length=max_length,
            )
        with staged(Path(out), marker=MANIFEST, force=force) as stage:
            work = _Work(source, stage, jobs, allow_divergence, Proof(source, Path(data) if data else None, jobs))
            work.make(plan)
            if work.failures and (there or not work.outputs):
                raise work.failure("nothing was written")
            work.write()
    if work.failures:
        raise work.failure(f"{out} holds what passed: {', '.join(a.key for a in work.artifacts)}")
    return Bundle.open(out)


def _plan(formats: Sequence[str], precisions: Sequence[str]) -> Plan:
    """Which converter makes which precisions. What cannot work is refused here, before any work."""
    if not formats or not precisions:
        raise UsageError("no format or no precision was given", hint="for example --format onnx --precision fp32,int8")
    plan: Plan = []
    for name in dict.fromkeys(formats):
        converter: type[Converter] = registry.load("converters", name)
        for precision in precisions:
            if precision not in converter.precisions:
                hint = f"{name} has {', '.join(converter.precisions)}"
                raise UnsupportedConversion(f"{name} at precision {precision!r} is not supported", hint=hint)
        registry.require(converter.requires, converter.extra)
        plan.append((converter, list(dict.fromkeys(precisions))))
    return plan


@dataclass
class _Work:
    """What has come of a build so far."""

    source: Source
    stage: Path
    jobs: Jobs
    allow_divergence: bool
    proof: Proof
    artifacts: list[Artifact] = field(default_factory=list)
    outputs: dict[str, list[dict[str, NDArray[Any]]]] = field(default_factory=dict)
    failures: list[EdgewrightError] = field(default_factory=list)
    packages: set[str] = field(default_factory=lambda: {"edgewright", "numpy", "tokenizers"})

    def make(self, plan: Plan) -> None:
        """Convert and gate every artifact of the plan; failures are remembered, and the rest goes on.

        Raises:
            StorageError: the disk is full; what would follow could not be written either.
        """
        for converter, precisions in plan:
            self.packages |= {*converter.requires, engine_for(converter.format).package}
            for precision, error in zip(precisions, self._convert(converter, precisions), strict=True):
                if not error:
                    self._gate(converter, precision)
                elif isinstance(failure := from_record(error), StorageError):
                    raise failure
                else:
                    self.failures.append(failure)

    def failure(self, ending: str) -> EdgewrightError:
        """The first failure, a failed gate before others, with what became of the build."""
        first = next((f for f in self.failures if isinstance(f, GateFailed)), self.failures[0])
        return type(first)(first.message, hint="; ".join(part for part in (first.hint, ending) if part))

    def _convert(self, converter: type[Converter], precisions: list[str]) -> list[dict[str, str] | None]:
        example = self.jobs.scratch / "example.npz"
        arrays.save(example, [self.proof.example])
        wanted = [{"precision": p, "path": str(self.stage / converter.path(p))} for p in precisions]
        try:
            errors: list[dict[str, str] | None] = self.jobs.run(
                "edgewright.converters._jobs:convert",
                source=self.source.job(),
                format=converter.format,
                artifacts=wanted,
                example=str(example),
                max_length=self.source.settings.max_length,
                threads=os.cpu_count(),
            )
        except EdgewrightError as error:
            return [error.record()] * len(precisions)
        return errors

    def _gate(self, converter: type[Converter], precision: str) -> None:
        """Hold one artifact against the eager model; keep it, or remove it and remember why."""
        path = converter.path(precision)
        try:
            self._admit(converter, precision, path)
        except EdgewrightError as error:
            for part in (self.stage / path).parent.glob(f"{Path(path).name}*"):
                part.unlink()
            self.failures.append(type(error)(f"{converter.format}/{precision}: {error.message}", hint=error.hint))

    def _admit(self, converter: type[Converter], precision: str, path: str) -> None:
        signature, outputs = self._run(converter.format, precision, self.stage / path)
        parity, score = self.proof.judge(outputs, precision, allow_divergence=self.allow_divergence)
        artifact = Artifact(
            path=path,
            format=converter.format,
            precision=precision,
            size_bytes=(self.stage / path).stat().st_size,
            sha256=sha256(self.stage / path),
            inputs=tuple(TensorSpec(**spec) for spec in signature["inputs"]),
            outputs=tuple(TensorSpec(**spec) for spec in signature["outputs"]),
            parity=parity,
            score=score,
        )
        self.artifacts.append(artifact)
        self.outputs[path] = outputs[: len(self.proof.cases)]

    def _run(self, format: str, precision: str, path: Path) -> tuple[Any, list[dict[str, NDArray[Any]]]]:  # noqa: A002
        out = self.jobs.scratch / "outputs.npz"
        signature = self.jobs.run(
            "edgewright.gates:run_engine",
            name=f"{format} {precision}",
            engine=engine_for(format).engine,
            artifact=str(path),
            feeds=str(self.proof.feeds),
            out=str(out),
        )
        return signature, arrays.load(out)

    def write(self) -> None:
        """Put the tokenizer, the golden cases and the manifest beside the artifacts."""
        self.jobs.progress("write the bundle")
        for name in _COPIED:
            if (self.source.directory / name).is_file():
                shutil.copyfile(self.source.directory / name, self.stage / name)
        (self.stage / GOLDEN).write_bytes(encode(self.proof.golden(self.outputs)))
        manifest = Manifest(
            task=self.source.task,
            settings=self.source.settings,
            artifacts=tuple(self.artifacts),
            files=tuple(_file(self.stage, path) for path in self._others()),
            source=self._origin(),
            toolchain={name: metadata.version(name) for name in sorted(self.packages)},
        )
        (self.stage / MANIFEST).write_bytes(encode(manifest))

    def _others(self) -> list[Path]:
        """Every file but the artifacts: the tokenizer, the golden cases, weights beside an artifact."""
        listed = {self.stage / artifact.path for artifact in self.artifacts}
        return sorted(path for path in self.stage.rglob("*") if path.is_file() and path not in listed)

    def _origin(self) -> Origin:
        return Origin(
            architecture=self.source.architecture,
            parameters=self.proof.parameters,
            sha256=self.source.sha256(),
            licence=self.source.licence(),
        )


def _file(root: Path, path: Path) -> File:
    return File(path=path.relative_to(root).as_posix(), size_bytes=path.stat().st_size, sha256=sha256(path))
