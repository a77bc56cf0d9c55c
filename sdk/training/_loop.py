"""The loop of a training run: model, rows and loss in, the best model and the run's curves out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from edgewright.errors import EdgewrightError
from edgewright.system.files import unwritten
from edgewright.training._batches import Rows
from edgewright.training._models import load
from edgewright.training._trainer import Progress, Run, arguments, board_of, score_of
from edgewright.training.unfinished import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgewright.model.source import Source
    from edgewright.tasks import Example, Task
    from edgewright.text.tokenizer import Tokenizer
    from edgewright.training.corpus import Corpus
    from edgewright.training.recipe import Recipe

__all__ = ["Curves", "Loop"]


@dataclass(frozen=True)
class Curves:
    """How a run went: (step, loss, learning rate), (step, score in percent), and what it took."""

    losses: tuple[tuple[int, float, float], ...]
    scores: tuple[tuple[int, float], ...]
    steps: int
    tokens: int
    seconds: float


@dataclass(frozen=True)
class Loop:
    """What stays the same in a run, see `fitting.train_into`."""

    source: Source
    task: Task
    tokenizer: Tokenizer
    recipe: Recipe
    work: Path
    progress: Callable[[str], None]
    after: Callable[[Any, int, int], None] | None = None
    settled: float = 0.0
    rates: tuple[tuple[str, float], ...] = ()
    watch: Callable[[int, int, float], None] | None = None
    report_to: tuple[str, ...] = ()
    runs: Path | None = None

    def run(
        self, corpus: Corpus, dev: Sequence[Example], loss: Any, start: Any, answers: Any, checkpoint: str | None
    ) -> tuple[Any, Curves]:
        """Train, from a checkpoint if there is one. Gives the best model, and the curves."""
        torch.manual_seed(self.recipe.seed)
        model = start or load(self.source, self.task, seed=self.recipe.seed)
        per_token = bool(corpus.per_token)
        run = self._run(model, Rows(corpus, per_token, answers), dev, loss)
        begun = time.monotonic()
        try:
            run.train(resume_from_checkpoint=checkpoint)
        except EdgewrightError:
            raise
        except OSError as error:
            raise unwritten(self.work, error) from error
        best = run.accelerator.unwrap_model(run.model).eval()
        return best.cpu(), _curves(run, time.monotonic() - begun)

    def _run(self, model: Any, rows: Rows, dev: Sequence[Example], loss: Any) -> Run:
        def loss_of(wrapped: Any, batch: dict[str, Any]) -> Any:
            feeds = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
            return loss(wrapped, feeds, batch)

        args = arguments(self.recipe, len(rows), self.work, processes().num_processes, self.report_to)
        boards = [board_of(self.runs)] if "tensorboard" in self.report_to and self.runs else []
        return Run(
            model=model,
            args=args,
            rows=rows,
            loss=loss_of,
            score=lambda one: score_of(one, self.task, self.tokenizer, dev),
            settled=self.settled,
            rates=self.rates,
            progress=Progress(self.progress, self.recipe.patience, self.after, self.watch),
            callbacks=boards,
        )


def _curves(run: Run, seconds: float) -> Curves:
    history: Sequence[dict[str, Any]] = run.state.log_history
    losses = tuple((row["step"], float(row["loss"]), float(row["learning_rate"])) for row in history if "loss" in row)
    scores = {row["step"]: float(row["eval_score"]) for row in history if "eval_score" in row}
    return Curves(losses, tuple(sorted(scores.items())), run.state.global_step, run.tokens, seconds)
