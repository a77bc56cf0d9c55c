"""Recipes carried out: step by step, each scored and weighed, gone on with after a kill."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgewright import registry
from edgewright._version import __version__
from edgewright.compression.recipe import check_task, read
from edgewright.compression.steps import Setting
from edgewright.data import rows
from edgewright.errors import DataError, EdgewrightError, StorageError
from edgewright.model.source import open_source
from edgewright.system.atomic import staged
from edgewright.system.files import compressed_bytes, sha256, unwritten, write_whole
from edgewright.system.progress import silent
from edgewright.system.shown import Results, brief
from edgewright.training.answers import cache_dir
from edgewright.training.hush import hush
from edgewright.training.threads import limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgewright.compression.recipe import Named
    from edgewright.model.source import Source
    from edgewright.tasks import Task

__all__ = ["Stage", "compress", "weigh"]


@dataclass(frozen=True)
class Stage:
    """A model of a chain: the first one, or what a step made.

    Attributes:
        step: the name of the step, `source` for the first model.
        score: of the eager model on the rows to choose by, in percent; None without rows.
        parameters: all weights, shared ones counted once.
        nonzero: those that are not zero.
        size_bytes: of the weights' file.
        compressed_bytes: the same, see `edgewright.system.files.compressed_bytes`: where zeros show.
        latency_ms: the median of the built artifact, None where none was asked for. Zeros alone make it no faster.
        seconds: that the step took.
    """

    step: str
    score: float | None
    parameters: int
    nonzero: int
    size_bytes: int
    compressed_bytes: int
    latency_ms: float | None
    seconds: float

    def __repr__(self) -> str:
        score = "" if self.score is None else f"score {self.score:.2f}"
        took = f"{self.latency_ms:.3g} ms" if self.latency_ms else ""
        return brief(self, self.step, score, f"{self.nonzero:,} weights", f"{self.size_bytes / 1e6:.3g} MB", took)

    def cells(self) -> dict[str, Any]:
        """The columns of a table."""
        return {
            "step": self.step,
            "score": None if self.score is None else f"{self.score:.2f}",
            "weights": f"{self.parameters:,}",
            "not zero": f"{self.nonzero:,}",
            "size": f"{self.size_bytes / 1e6:.3g} MB",
            "compressed": f"{self.compressed_bytes / 1e6:.3g} MB",
            "median, ms": self.latency_ms,
            "seconds": self.seconds,
        }


def compress(
    model: str | Path,
    recipe: str | Path,
    out: str | Path,
    *,
    task: str | None = None,
    train: str | Path | None = None,
    dev: str | Path | None = None,
    measure: str = "",
    seed: int = 0,
    threads: int = 0,
    cache: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    progress: Callable[[str], None] = silent,
) -> Results[Stage]:
    """Take the steps of a recipe, in its order.

    What the steps made lies in `OUT-steps` until the last one is done; `resume` goes on after the last finished one.

    Args:
        model: a Hugging Face directory or hub id.
        recipe: a TOML file, see `edgewright.compression.recipe`.
        out: the new directory.
        task: by default that of the saved architecture.
        train: labelled rows for the steps that need some.
        dev: other labelled rows, which choose and score.
        measure: `FORMAT/PRECISION` of an artifact to build and time at every stage, such as `onnx/int8`.
        seed: of everything random.
        threads: of torch; 0 for its own choice.
        cache: where a teacher's answers are kept.
        resume: go on with what was interrupted.
        force: replace `out`, if it holds a model.
        progress: called with a phrase now and then.

    Raises:
        UsageError: a recipe that cannot be, or a step that the model cannot take: before anything begins.
        SourceError, DataError, StorageError, MissingExtra: as the steps do.
    """
    registry.require(("torch", "transformers"), "train")
    hush()
    limit(threads)
    source, steps, place = open_source(model, task=task), read(Path(recipe)), Path(out)
    check_task(source, steps, "compressed")
    given = (Path(train) if train else None, Path(dev) if dev else None)
    setting = Setting(source.directory, *given, Path(cache) if cache else cache_dir(), seed, threads, progress)
    for named in steps:
        named.step.check(source, setting)
    chain = _Chain(source, steps, setting, place.with_name(f"{place.name}-steps"), measure)
    if place.exists() and not force:
        raise StorageError(f"{place} exists", hint="use --force to replace it")
    stages, last = chain.run(resume=resume)
    with staged(place, marker="config.json", force=force) as work:
        shutil.copytree(last, work, dirs_exist_ok=True)
        (work / "compression").mkdir()
        record = {"edgewright": __version__, "steps": [asdict(stage) for stage in stages]}
        (work / "compression" / "compression.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        shutil.copyfile(recipe, work / "compression" / "recipe.toml")
    shutil.rmtree(chain.work, ignore_errors=True)
    return Results(stages)


@dataclass(frozen=True)
class _Chain:
    source: Source
    steps: tuple[Named, ...]
    setting: Setting
    work: Path
    measure: str

    def run(self, *, resume: bool) -> tuple[list[Stage], Path]:
        """All stages, and the directory of the last one; what fails before a step has begun to work leaves nothing."""
        if self.work.exists() and not resume:
            raise StorageError(f"{self.work} holds unfinished steps", hint="give --resume, or remove it")
        self.work.mkdir(parents=True, exist_ok=True)
        try:
            return self._stages()
        except EdgewrightError:
            if not any(path.is_dir() for path in self.work.iterdir()):
                shutil.rmtree(self.work)
            raise

    def _stages(self) -> tuple[list[Stage], Path]:
        before = self.source
        key = f"{before.sha256()} {self._files()}"
        stages = [self._stage("source", before, self.work / "00-source", 0.0, key)]
        for at, named in enumerate(self.steps, start=1):
            key = hashlib.sha256(f"{key} {named.name} {msgspec.json.encode(named.step)!r}".encode()).hexdigest()
            out = self.work / f"{at:02d}-{named.name}"
            stages.append(self._take(named, before, out, key, f"step {at} of {len(self.steps)}"))
            before = open_source(out, task=before.task)
        return stages, before.directory

    def _files(self) -> str:
        given = (self.setting.train, self.setting.dev)
        missing = next((file for file in given if file and not file.is_file()), None)
        if missing:
            raise DataError(f"cannot read {missing}: no such file")
        return " ".join(sha256(file) for file in given if file)

    def _take(self, named: Named, before: Source, out: Path, key: str, where: str) -> Stage:
        done = self._done(out, key)
        if done:
            self.setting.progress(f"{where}, {named.name}: done before")
            return done
        self.setting.progress(f"{where}, {named.name}")
        seconds = self._made(out, key)
        if seconds is None:
            seconds = self._make(named, before, out, key)
        return self._stage(named.name, open_source(out, task=before.task), out, seconds, key)

    def _make(self, named: Named, before: Source, out: Path, key: str) -> float:
        """Let the step work, and note that it has before anything is measured; the seconds that it took."""
        for name in (out.name, f".{out.name}"):
            shutil.rmtree(self.work / name, ignore_errors=True)
        begin = time.monotonic()
        try:
            named.step.apply(before, out, self.setting)
        except OSError as error:
            raise unwritten(out, error) from error
        shutil.rmtree(out.with_name(f"{out.name}-rows"), ignore_errors=True)
        seconds = time.monotonic() - begin
        self._note(out, {"key": key, "seconds": seconds})
        return seconds

    def _stage(self, name: str, source: Source, out: Path, seconds: float, key: str) -> Stage:
        done = self._done(out, key)
        if done:
            return done
        parameters, nonzero, compressed = weigh(source.directory)
        stage = Stage(
            step=name,
            score=_score(source, self.setting),
            parameters=parameters,
            nonzero=nonzero,
            size_bytes=sum(path.stat().st_size for path in source.directory.glob("*.safetensors")),
            compressed_bytes=compressed,
            latency_ms=_latency(source, self.measure, self.work / "bundle", self.setting) if self.measure else None,
            seconds=round(seconds, 1),
        )
        self._note(out, {"key": key, "stage": asdict(stage)})
        return stage

    def _note(self, out: Path, facts: dict[str, Any]) -> None:
        write_whole(self.work / f"{out.name}.json", json.dumps(facts).encode())

    def _noted(self, out: Path, key: str, fact: str) -> Any:
        """What a note says, where it and its directory are there and of the same steps and rows."""
        with suppress(OSError, ValueError, KeyError):
            note = json.loads((self.work / f"{out.name}.json").read_text(encoding="utf-8"))
            if note["key"] == key and (out.is_dir() or out.name == "00-source"):
                return note[fact]
        return None

    def _done(self, out: Path, key: str) -> Stage | None:
        stage = self._noted(out, key, "stage")
        with suppress(TypeError):  # the note of a version that weighed a model otherwise
            return Stage(**stage) if stage else None
        return None

    def _made(self, out: Path, key: str) -> float | None:
        """The seconds that a step took which is done, and was not measured yet."""
        seconds: float | None = self._noted(out, key, "seconds")
        return seconds


def _has_head(source: Source) -> bool:
    heads: tuple[str, ...] = registry.load("tasks", source.task).heads
    return source.architecture.endswith(heads)


def _score(source: Source, setting: Setting) -> float | None:
    """The eager model's score, None where there are no rows, or no head yet."""
    if setting.dev is None or not _has_head(source):
        return None
    from edgewright.training._models import load
    from edgewright.training._trainer import score_of

    setting.progress("score")
    task: Task = registry.load("tasks", source.task)(source.settings)
    score: float = score_of(load(source, task), task, source.tokenizer(), rows.examples(setting.dev, task))
    return score


def _latency(source: Source, measure: str, bundle: Path, setting: Setting) -> float | None:
    """The median of 32 tokens on one thread of an artifact that is built for it, None where there is no head yet.

    Of a translator that of its golden texts.

    It is thrown away, and is timed even where it does not pass the gates: a step that hurts may come before one that
    mends.
    """
    if not _has_head(source):
        return None
    from edgewright.builder.build import build
    from edgewright.measure.bench import bench
    from edgewright.measure.plan import Plan
    from edgewright.measure.translating import TranslatingPlan, bench_translating

    format_, _, precision = measure.partition("/")
    setting.progress(f"build and time {measure}")
    shutil.rmtree(bundle, ignore_errors=True)
    build(
        source.directory,
        out=bundle,
        formats=[format_],
        precisions=[precision],
        task=source.task,
        allow_divergence=True,
    )
    if source.task == "translation":
        median = bench_translating(bundle, TranslatingPlan())[0].text_ms.median
    else:
        median = bench(bundle, Plan(tokens=(32,))).rows[0].latency_ms.median
    shutil.rmtree(bundle, ignore_errors=True)
    return median


def weigh(directory: Path) -> tuple[int, int, int]:
    """Parameters, those that are not zero, and the bytes of the weights' files when they are compressed."""
    from safetensors.numpy import load_file

    parameters = nonzero = 0
    files = sorted(directory.glob("*.safetensors"))
    for path in files:
        for array in load_file(path).values():
            parameters += array.size
            nonzero += int((array != 0).sum())
    return parameters, nonzero, compressed_bytes(files)
