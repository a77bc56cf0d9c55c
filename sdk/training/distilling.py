"""Distillation: a student learns a teacher's outputs (Hinton et al. 2015, arXiv 1503.02531), or its translations."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright.errors import SourceError, UsageError, did_you_mean
from edgewright.model.source import open_source
from edgewright.system.progress import silent
from edgewright.text.tokenizer import Tokenizer
from edgewright.training import corpus, fitting
from edgewright.training.answers import cache_dir, computed
from edgewright.training.fitting import Lesson, Trained, check_out, check_translator, prepare, train_into
from edgewright.training.objectives import objective_of
from edgewright.training.recipe import Recipe
from edgewright.training.student import Shape, student_of
from edgewright.training.translations import translated
from edgewright.training.translators import SHAPES
from edgewright.training.unfinished import first_alone

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgewright.model.source import Source
    from edgewright.tasks import Task

__all__ = ["Distillation", "distill", "lesson_of"]


@dataclass(frozen=True)
class Distillation:
    """How a student learns from a teacher.

    Attributes:
        temperature: softens both sides' probabilities.
        alpha: the weight of the labels' loss; the rest is that of the divergence from the teacher.
        hidden: the weight of the distance between the hidden states of both, layer by layer (Jiao et al. 2020, arXiv
            1909.10351, section 3.1), for which the teacher runs in every step; 0 for none.
        copies: variations of each row that the teacher answers too.
        shape: of the student.
    """

    temperature: float = 2.0
    alpha: float = 0.5
    hidden: float = 0.0
    copies: int = 0
    shape: Shape = field(default_factory=Shape)

    def __post_init__(self) -> None:
        """Raise UsageError for a value outside of its range."""
        if not 0 <= self.alpha <= 1:
            raise UsageError(f"alpha is {self.alpha:g}, it must lie between 0 and 1")
        if not self.temperature > 0 or self.hidden < 0 or self.copies < 0:
            raise UsageError("temperature must be above 0, hidden and copies at least 0")


def distill(
    teacher: str | Path,
    train: str | Path,
    dev: str | Path,
    out: str | Path,
    *,
    student: str | Path | None = None,
    how: Distillation | None = None,
    recipe: Recipe | None = None,
    cache: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    progress: Callable[[str], None] = silent,
    watch: Callable[[int, int, float], None] | None = None,
) -> Trained:
    """Train a student on a teacher's outputs. The teacher runs once over the rows; its answers are kept in a cache.

    A translator's student is trained on what the teacher's own search makes of the rows' sources, see
    `edgewright.training.translations`; the rows' targets are not read.

    Args:
        teacher: a fine-tuned Hugging Face directory or hub id.
        train: labelled rows, .tsv, .jsonl or .json.
        dev: other labelled rows, which choose the best model.
        out: the new directory.
        student: where the student's weights and tokenizer come from, by default the teacher; one whose vocabulary was
            cut works too, for outputs of whole texts. That of a translator is another model, or the name of a new one,
            such as `marian-4m`.
        how: loss and shape; for a translator it has nothing to say.
        recipe: the settings of the run.
        cache: where the teacher's answers are kept, by default in the user's cache directory.
        resume: go on with an interrupted run.
        force: replace `out`, if it holds a model.
        progress: called with a phrase now and then.
        watch: called with the step, the number of steps and the score at every evaluation; what it raises ends the run.

    Raises:
        UsageError: a shape that cannot be, or two tokenizers where outputs belong to tokens.
        SourceError, DataError, StorageError, MissingExtra: as `train`.
    """
    how, recipe, files = how or Distillation(), recipe or Recipe(), (Path(train), Path(dev))
    taught, kept = open_source(teacher), Path(cache) if cache else cache_dir()
    if taught.task == "translation":
        own_rows = _own_rows(
            taught, student, files[0], Path(out), how=how, recipe=recipe, cache=kept, force=force, say=progress
        )
        given: dict[str, Any] = {"resume": resume, "force": force, "progress": progress, "watch": watch}
        return fitting.train(str(student), own_rows, files[1], out, task=taught.task, recipe=recipe, **given)
    own, lesson = lesson_of(taught, student, files[0], how=how, recipe=recipe, cache=kept, say=progress)
    lesson = replace(lesson, watch=watch)
    return train_into(Path(out), own, files, recipe, lesson, resume=resume, force=force, progress=progress)


def _own_rows(
    taught: Source,
    student: str | Path | None,
    rows: Path,
    out: Path,
    *,
    how: Distillation,
    recipe: Recipe,
    cache: Path,
    force: bool,
    say: Callable[[str], None],
) -> Path:
    """The rows that a translator's student is trained on; what cannot be is said before the teacher begins."""
    if student is None:
        hint = f"a directory, or a new one: {', '.join(SHAPES)}"
        raise UsageError("a translator's student must be named", hint=hint)
    plain = Distillation()
    other = next((name for name in asdict(plain) if getattr(how, name) != getattr(plain, name)), None)
    if other:
        hint = "leave it out; --student names a shape" if other == "shape" else "leave it out"
        raise UsageError(f"a translator is distilled by its translations, {other} is not for it", hint=hint)
    check_out(out, force=force)
    prepare(recipe)
    if str(student) not in SHAPES or Path(student).exists():
        _check_student(student, taught.task)
    with first_alone():
        return translated(taught, rows, cache=cache, progress=say)


def _check_student(student: str | Path, task: str) -> None:
    """Raise SourceError, UsageError for a directory that cannot be a translator's student."""
    near = did_you_mean(str(student), SHAPES) if "/" not in str(student) and not Path(student).exists() else ""
    if near:
        raise UsageError(f"no student is called {student}{near}", hint=f"a new one is {', '.join(SHAPES)}")
    check_translator(Path(student), task)
    opened = open_source(student, task=task)
    from transformers import AutoConfig

    if not AutoConfig.from_pretrained(opened.directory, local_files_only=True).is_encoder_decoder:
        raise SourceError(f"{student} is no encoder-decoder", hint=f"a new student is {', '.join(SHAPES)}")


def lesson_of(
    taught: Source,
    student: str | Path | None,
    train: Path,
    *,
    how: Distillation,
    recipe: Recipe,
    cache: Path,
    say: Callable[[str], None],
) -> tuple[Source, Lesson]:
    """The student with its teacher's labels, and what it is to learn from it, for `train_into`; see `distill`."""
    own = open_source(student, task=taught.task) if student else taught
    own = replace(own, settings=_headed(own, taught))
    return own, _Pupil(taught, own, how, recipe, train, cache, say).lesson()


def _headed(own: Source, taught: Source) -> Any:
    """The student's settings with the teacher's labels."""
    from msgspec import structs

    return structs.replace(own.settings, labels=taught.settings.labels, problem=taught.settings.problem)


@dataclass(frozen=True)
class _Pupil:
    taught: Source
    own: Source
    how: Distillation
    recipe: Recipe
    train: Path
    cache: Path
    progress: Callable[[str], None]

    def lesson(self) -> Lesson:
        """What the run is to learn."""
        registry.require(("torch", "transformers", "accelerate"), "train")
        same = self._tokenizer(self.taught).sha256 == self._tokenizer(self.own).sha256
        per_token = objective_of(self._task()).per_token or self._task().per_token
        if not same and (per_token or self.how.hidden):
            what = "teacher and student have different tokenizers, and what is learnt belongs to tokens"
            raise UsageError(what, hint="distil before the vocabulary is trimmed")
        facts = {f"distillation {name}": value for name, value in asdict(self.how).items()}
        facts |= {"teacher": self.taught.sha256(), "distillation shape": str(self.how.shape)}
        return Lesson(
            loss=self._loss,
            start=lambda: student_of(self.own, self._task(), self.how.shape, self.recipe.seed),
            answers=None if self.how.alpha == 1 else self._answers,
            more=self._more() if self.how.copies else None,
            facts=tuple(facts.items()),
        )

    def _task(self) -> Task:
        task: Task = registry.load("tasks", self.taught.task)(self.own.settings)
        return task

    def _tokenizer(self, source: Source) -> Tokenizer:
        most = source.settings.max_length
        return Tokenizer(source.directory, min(self.recipe.max_length or most, most))

    def _teacher(self) -> Any:
        from edgewright.training._models import load

        return load(self.taught, registry.load("tasks", self.taught.task)(self.taught.settings))

    def _more(self) -> Any:
        from edgewright.training.variations import Variations, neighbours

        task = registry.load("tasks", self.taught.task)(self.taught.settings)
        self.progress("look for near words")
        near = neighbours(self.train, task, self._teacher().inner, self._tokenizer(self.taught).vocabulary)
        return Variations(near, self.how.copies, self.recipe.seed)

    def _answers(self, rows: corpus.Corpus) -> Any:
        """The teacher's outputs for the student's rows, from its own tokens."""
        task, tokenizer = self._task(), self._tokenizer(self.taught)
        if tokenizer.sha256 != self._tokenizer(self.own).sha256:
            more, place = self._more() if self.how.copies else None, self.cache / "rows"
            rows = corpus.kept(
                self.train, task, tokenizer, objective_of(task), place, more=more, progress=self.progress
            )
        return computed(
            self._teacher,
            self.taught.sha256(),
            rows,
            per_token=task.per_token,
            cache=self.cache,
            progress=self.progress,
        )

    def _loss(self, objective: Any) -> Any:
        from edgewright.training._hidden import Hidden

        hidden = Hidden(self._teacher()) if self.how.hidden else None
        alpha, warmth = self.how.alpha, self.how.temperature

        def loss(model: Any, feeds: dict[str, Any], batch: dict[str, Any]) -> Any:
            mask = batch["attention_mask"]
            found, states = model(**feeds, hidden=True) if hidden else (model(**feeds), ())
            total = alpha * objective.loss(found, batch["labels"], mask) if alpha else 0.0
            if alpha < 1:
                total += (1 - alpha) * objective.divergence(found, batch["teacher"], mask, warmth)
            return total + self.how.hidden * hidden.distance(states, feeds) if hidden else total

        return loss
