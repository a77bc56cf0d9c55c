"""Fine-tuning: a source and labelled rows -> a Hugging Face directory, of the model that is best on other rows."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright._version import __version__
from edgewright.data import rows as data
from edgewright.errors import DataError, InputError, StorageError, UsageError
from edgewright.model.carried import carry
from edgewright.model.source import open_source
from edgewright.model.two_sided import cuts_targets
from edgewright.system.atomic import staged
from edgewright.system.progress import silent
from edgewright.system.shown import brief
from edgewright.text.tokenizer import Tokenizer
from edgewright.training import corpus, threads
from edgewright.training.curves import page
from edgewright.training.heads import other_labels, with_labels
from edgewright.training.hush import hush
from edgewright.training.objectives import objective_of
from edgewright.training.recipe import Recipe
from edgewright.training.reporters import check_reporters
from edgewright.training.translators import SHAPES, begin, keep_start
from edgewright.training.unfinished import Unfinished, first_alone, is_first

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgewright.model.source import Source
    from edgewright.tasks import Task

__all__ = ["Lesson", "Trained", "check_out", "check_translator", "plain_loss", "prepare", "train", "train_into"]

_RECORD = "training.json"


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        directory: the best model, with its tokenizer.
        metric: what the scores are, in percent.
        score: of the model that is kept, after `best_step` steps, on rows that it was not trained on but for `seen`.
        first: before the first step.
        last: after the last one.
        tokens_per_s: real tokens a second in this process, scoring included; padding does not count.
        seen: how many of the `scored` rows that the score is of are among those that it was trained on, too.
    """

    directory: Path
    metric: str
    first: float
    score: float
    last: float
    best_step: int
    steps: int
    parameters: int
    seconds: float
    tokens_per_s: float
    seen: int = 0
    scored: int = 0

    @property
    def warning(self) -> str:
        """What the score is not, in words; nothing where it is one on other rows."""
        return f"{self.seen} of its {self.scored} rows were trained on" if self.seen else ""

    def __repr__(self) -> str:
        score = f"{self.metric} {self.score:.2f} after {self.best_step} of {self.steps} steps"
        score += f" ({self.warning})" if self.seen else ""
        return brief(self, self.directory.name, score, f"{self.parameters:,} parameters")


@dataclass(frozen=True)
class Lesson:
    """What a run teaches: the loss, and where it is not fine-tuning, what else it needs.

    Attributes:
        loss: the task's objective -> a function (model, feeds, batch) -> loss.
        start: the model that is trained, by default the source's own.
        answers: the tokenized rows -> a teacher's outputs for each.
        more: adds rows to those of the file.
        after: called with the model, the step and the number of steps after every step.
        settled: the share of the run from which a model may be the best one: before it is not yet what it shall be.
        finish: what becomes of the trained model before it is saved.
        rates: learning rates of their own, without weight decay, of parameters whose names end so.
        watch: see `train`.
        report_to: see `train`.
        facts: what tells this run from others.
    """

    loss: Callable[[Any], Any]
    start: Callable[[], Any] | None = None
    answers: Callable[[Any], Any] | None = None
    more: Callable[[Any], Any] | None = None
    after: Callable[[Any, int, int], None] | None = None
    settled: float = 0.0
    finish: Callable[[Any], None] | None = None
    rates: tuple[tuple[str, float], ...] = ()
    watch: Callable[[int, int, float], None] | None = None
    report_to: tuple[str, ...] = ()
    facts: tuple[tuple[str, Any], ...] = ()


def plain_loss(objective: Any) -> Any:
    """The loss of labelled rows, for a `Lesson`."""
    return lambda model, feeds, batch: objective.loss(model(**feeds), batch["labels"], batch["attention_mask"])


def train(
    model: str | Path,
    train: str | Path,
    dev: str | Path,
    out: str | Path,
    *,
    task: str | None = None,
    labels: Sequence[str] = (),
    recipe: Recipe | None = None,
    resume: bool = False,
    force: bool = False,
    report_to: Sequence[str] = (),
    progress: Callable[[str], None] = silent,
    watch: Callable[[int, int, float], None] | None = None,
) -> Trained:
    """Fine-tune a model on labelled rows.

    What is not finished yet lies beside `out`, in `OUT-training`. With `resume` a run goes on from there, and ends with
    the very model, to the bit on a CPU, that an uninterrupted one would have made.

    Args:
        model: a Hugging Face directory or hub id; a head that it lacks is new. To train a translator from nothing, the
            name of a shape, such as `marian-4m` (`edgewright.training.translators`).
        train: labelled rows, .tsv, .jsonl or .json.
        dev: other labelled rows, which choose the best model.
        out: the new directory.
        task: by default that of the saved architecture.
        labels: of a new head, in order; by default those in `train`.
        recipe: the settings.
        resume: go on with an interrupted run.
        force: replace `out`, if it holds a model.
        report_to: who is told of losses and scores too: tensorboard, which finds them in `runs/NAME` beside `out`,
            wandb, mlflow; each as transformers has it.
        progress: called with a phrase now and then.
        watch: called with the step, the number of steps and the score at every evaluation; what it raises ends the run.

    Raises:
        UsageError: a setting that cannot be, or a task that has nothing to train on.
        SourceError: no such model.
        DataError: broken rows, a class without a row, a loss that is not a number.
        StorageError: the disk is full, `out` is there, or an unfinished run is.
        MissingExtra: torch, transformers or accelerate is not installed.
    """
    check_out(Path(out), force=force)
    begun = _begun(Path(out))
    opened = _source(model, task, Path(out), Path(train), recipe or Recipe(), resume=resume)
    source = with_labels(opened, labels, Path(train))
    after = keep_start if source.task == "translation" else None
    lesson = Lesson(plain_loss, after=after, watch=watch, report_to=check_reporters(report_to))
    files = (Path(train), Path(dev))
    given: dict[str, Any] = {"resume": resume, "force": force, "progress": progress}
    try:
        found = train_into(Path(out), source, files, recipe or Recipe(), lesson, **given)
    except (InputError, UsageError) as error:
        if source.origin == begun and is_first() and not Unfinished(Path(out)).directory.exists():
            rmtree(begun, ignore_errors=True)  # nothing was made of it
        if not isinstance(error, DataError):
            raise
        raise DataError(error.message, hint=other_labels(source, files) or error.hint) from error
    if source.origin == begun and is_first():
        rmtree(begun, ignore_errors=True)
    return found


def _begun(out: Path) -> Path:
    """Where a new model of a shape lies until the run is finished."""
    return out.with_name(f"{out.name}-begun")


def _source(model: str | Path, task: str | None, out: Path, pairs: Path, recipe: Recipe, *, resume: bool) -> Source:
    """The model that is trained, which may be a new one of a shape."""
    begun = _begun(out)
    if str(model) not in SHAPES or Path(model).exists():
        check_translator(Path(model), task)
        return open_source(model, task=task)
    if task not in (None, "translation"):
        raise UsageError(f"{model} is a new translator, it has no task {task}", hint="give --task translation")
    prepare(recipe)
    with first_alone():
        if is_first():
            Unfinished(out).check(resume=resume)
        if begun.exists() and is_first() and not resume:
            raise StorageError(f"{begun} is of an unfinished run", hint="give --resume, or remove it")
        if not begun.exists():
            begin(SHAPES[str(model)], pairs, begun, seed=recipe.seed)
    return open_source(begun, task="translation")


def check_out(out: Path, *, force: bool) -> None:
    """Raise StorageError where the place of the result is taken."""
    if out.exists() and not force:
        raise StorageError(f"{out} exists", hint="use --force to replace it")


def check_translator(directory: Path, task: str | None) -> None:
    """Raise UsageError for a Marian whose targets are cut by a model of their own: tokenizer.json has the source's."""
    if task in (None, "translation") and not cuts_targets(directory):
        what = f"{directory} has a tokenizer for each side, tokenizer.json is the source's: it is not trained further"
        raise UsageError(what, hint="build takes it; train a new one with edgewright train marian-11m")


def train_into(
    out: Path,
    source: Source,
    files: tuple[Path, Path],
    recipe: Recipe,
    lesson: Lesson,
    *,
    resume: bool,
    force: bool,
    progress: Callable[[str], None],
) -> Trained:
    """Train by a lesson on the rows of `files`, train and dev, and put the best model into `out`; see `train`."""
    prepare(recipe)
    from edgewright.training._loop import Loop

    check_out(out, force=force)
    task: Task = registry.load("tasks", source.task)(source.settings)
    objective = objective_of(task)
    dev, overlap = data.examples(files[1], task), data.shared(*files)
    limit = min(recipe.max_length or source.settings.max_length, source.settings.max_length)
    tokenizer = Tokenizer(source.directory, limit)
    facts = {**_facts(source, files, recipe), **dict(lesson.facts)}
    unfinished = Unfinished(out)
    with first_alone():
        checkpoint = unfinished.begin(facts, resume=resume or not is_first())
        with unfinished.prepared():
            place = unfinished.directory / "corpus"
            rows = corpus.write(files[0], task, tokenizer, objective, place, more=lesson.more, progress=progress)
    place, more = unfinished.directory, (lesson.after, lesson.settled, lesson.rates, lesson.watch)
    told: dict[str, Any] = {"report_to": lesson.report_to, "runs": out.absolute().parent / "runs" / out.name}
    loop = Loop(source, task, tokenizer, recipe, place, progress if is_first() else silent, *more, **told)
    with unfinished.prepared():
        answers = lesson.answers(rows) if lesson.answers else None
        start = lesson.start() if lesson.start else None
        model, curves = loop.run(rows, dev, lesson.loss(objective), start, answers, checkpoint)
    if lesson.finish:
        lesson.finish(model.inner)
    trained = replace(_trained(out, task.metric, model, curves, lesson.settled), seen=overlap[0], scored=overlap[1])
    if is_first():
        _save(trained, model, curves, source, facts, force=force)
    unfinished.end()
    return trained


def prepare(recipe: Recipe) -> None:
    """Before torch does anything: quiet, and with the threads that are asked for. Raises MissingExtra."""
    registry.require(("torch", "transformers", "accelerate"), "train")
    hush()
    threads.limit(recipe.threads)


def _facts(source: Source, files: tuple[Path, Path], recipe: Recipe) -> dict[str, Any]:
    labels = ",".join(source.settings.labels)
    train, dev = map(data.fingerprint, files)
    hashes = {"train": train, "dev": dev, "model": source.sha256()}
    return {**asdict(recipe), **hashes, "task": source.task, "labels": labels}


def _trained(out: Path, metric: str, model: Any, curves: Any, settled: float) -> Trained:
    own = [found for found in curves.scores if found[0] and found[0] >= settled * curves.steps]
    best_step, best = max(own or curves.scores, key=lambda found: found[1])
    return Trained(
        directory=out,
        metric=metric,
        first=curves.scores[0][1],
        score=best,
        last=curves.scores[-1][1],
        best_step=best_step,
        steps=curves.steps,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        seconds=round(curves.seconds, 1),
        tokens_per_s=round(curves.tokens / curves.seconds, 1),
    )


def _save(trained: Trained, model: Any, curves: Any, source: Source, facts: dict[str, Any], *, force: bool) -> None:
    """Weights, configuration, tokenizer; beside them in `training/` the record and the curves of the run."""
    with staged(trained.directory, marker="config.json", force=force) as work:
        model.inner.save_pretrained(work)
        for path in work.iterdir():
            path.chmod(0o644)
        carry(source, work, max_length=facts["max_length"])
        notes = work / "training"
        notes.mkdir()
        record = {**asdict(trained), "directory": trained.directory.name, "edgewright": __version__, "settings": facts}
        record |= {"losses": curves.losses, "scores": curves.scores}
        (notes / _RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (notes / "curves.html").write_text(page(record), encoding="utf-8")
