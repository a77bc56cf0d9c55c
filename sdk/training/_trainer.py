"""Transformers' Trainer with our order of rows, our losses and scores, and an eye on losses that are no number."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from edgewright.errors import DataError
from edgewright.generation.beams import Rules, Search
from edgewright.generation.translator import Translator
from edgewright.training._batches import Grouped, collate
from edgewright.training._eager_translator import EagerEncoderDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgewright.tasks import Example, Task
    from edgewright.text.tokenizer import Tokenizer
    from edgewright.training._batches import Rows
    from edgewright.training._models import Model
    from edgewright.training.recipe import Recipe

    Loss = Callable[[Any, dict[str, Any]], Any]

__all__ = ["Progress", "Run", "arguments", "board_of", "score_of"]

_SHOWN = 8
"""Rows of a bad batch that an error names."""

_ALWAYS = {
    "lr_scheduler_type": "linear",
    "eval_strategy": "steps",
    "save_strategy": "steps",
    "save_total_limit": 2,
    "eval_on_start": True,
    "load_best_model_at_end": True,
    "metric_for_best_model": "eval_choice",
    "greater_is_better": True,
    "logging_nan_inf_filter": False,
    "remove_unused_columns": False,
    "dataloader_pin_memory": False,
    "disable_tqdm": True,
    "ddp_find_unused_parameters": False,
}
"""Two checkpoints: the best one, which is the result, and the last one, from which an interrupted run goes on."""


def arguments(
    recipe: Recipe, rows: int, work: Path, processes: int, report_to: Sequence[str] = ()
) -> TrainingArguments:
    """A recipe as Trainer's own settings, for so many rows and processes."""
    per_epoch = max(1, -(-rows // (recipe.batch * recipe.accumulation * processes)))
    every = max(1, per_epoch // recipe.evaluations)
    return TrainingArguments(
        output_dir=str(work),
        max_steps=max(1, round(recipe.epochs * per_epoch)),
        per_device_train_batch_size=recipe.batch,
        gradient_accumulation_steps=recipe.accumulation,
        learning_rate=recipe.learning_rate,
        warmup_steps=round(recipe.warmup * recipe.epochs * per_epoch),
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.clip,
        seed=recipe.seed,
        bf16=recipe.precision == "bf16",
        fp16=recipe.precision == "fp16",
        eval_steps=every,
        save_steps=every,
        logging_steps=max(1, per_epoch // 100),
        use_cpu=not torch.cuda.is_available(),
        report_to=[name for name in report_to if name != "tensorboard"] or "none",
        **_ALWAYS,
    )


def board_of(runs: Path) -> TrainerCallback:
    """TensorBoard's callback, which writes below a directory that outlives the run's own."""
    from transformers.integrations import TensorBoardCallback

    callback = TensorBoardCallback()
    callback.logging_dir = str(runs)
    return callback


class Progress(TrainerCallback):  # type: ignore[misc]
    """Says how far a run is: step, loss, score, minutes left; and does what shall be done after every step."""

    def __init__(
        self,
        say: Callable[[str], None],
        patience: int,
        after: Callable[[Any, int, int], None] | None = None,
        watch: Callable[[int, int, float], None] | None = None,
    ) -> None:
        self._say, self._patience, self._after, self._watch = say, patience, after, watch
        self._begun, self._from, self._loss, self._score, self._worse = 0.0, 0, "", "", 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take the time, and the step at which a resumed run goes on."""
        del args, control
        self._begun, self._from = time.monotonic(), state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Let `after` at the model."""
        del args, control
        if self._after:
            self._after(model.inner, state.global_step, state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Tell of the last steps."""
        del args, control
        if "loss" in logs:
            self._loss = f", loss {float(logs['loss']):.4f}"
            self._tell(state)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
        """Tell of a score, and stop after too many that were no better."""
        del args
        self._score = f", score {metrics['eval_score']:.2f}"
        best = state.best_metric
        self._worse = 0 if best is None or metrics["eval_choice"] > best else self._worse + 1
        if self._patience and self._worse >= self._patience:
            control.should_training_stop = True
        self._tell(state)
        if self._watch:
            self._watch(state.global_step, state.max_steps, metrics["eval_score"])

    def _tell(self, state: Any) -> None:
        done = state.global_step - self._from
        left_s = (state.max_steps - state.global_step) * (time.monotonic() - self._begun) / max(1, done)
        left = f", {left_s / 60:.0f} min left" if done and left_s > 60 else ""
        self._say(f"step {state.global_step} of {state.max_steps}{self._loss}{self._score}{left}")


class Run(Trainer):  # type: ignore[misc]
    """One training run.

    Args:
        model: what is trained.
        args: see `arguments`.
        rows: what it is trained on.
        loss: the loss of a batch, from the model's outputs and the batch.
        score: the model -> its score in percent.
        settled: the share of the run from which a model may be the best one.
        rates: learning rates of their own, without weight decay, of parameters whose names end so.
        progress: told how it goes.
    """

    def __init__(
        self,
        *,
        model: Model,
        args: TrainingArguments,
        rows: Rows,
        loss: Loss,
        score: Callable[[Any], float],
        settled: float,
        rates: Sequence[tuple[str, float]],
        progress: Progress,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        given = {"train_dataset": rows, "eval_dataset": rows, "callbacks": [progress, *callbacks]}
        super().__init__(model=model, args=args, data_collator=collate, **given)
        self.remove_callback(PrinterCallback)
        self._loss_of, self._score_of, self._settled, self._rates = loss, score, settled, rates
        self.model_accepts_loss_kwargs = False
        self.tokens = 0

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        del train_dataset
        return Grouped(self.train_dataset.corpus.lengths, self.args.per_device_train_batch_size, self.args.seed)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """Trainer's optimizer; parameters with a learning rate of their own go into groups of their own."""
        if self.optimizer is not None:
            return self.optimizer
        optimizer = super().create_optimizer(*args, **kwargs)
        for ending, rate in self._rates:
            own = [parameter for name, parameter in self.model.named_parameters() if name.endswith(ending)]
            known = {id(parameter) for parameter in own}
            for group in optimizer.param_groups:
                group["params"] = [one for one in group["params"] if id(one) not in known]
            optimizer.add_param_group({"params": own, "lr": rate, "weight_decay": 0.0})
        return optimizer

    def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:
        """The loss of a batch. Raises DataError where it is not a number."""
        loss = self._loss_of(model, inputs)
        self.tokens += int(inputs["attention_mask"].sum())
        if not torch.isfinite(loss):
            numbers = [str(number) for number in inputs["rows"].tolist()]
            rows = ", ".join([*numbers[:_SHOWN], "…"] if len(numbers) > _SHOWN else numbers)
            what = f"the loss is {loss.item()} at step {self.state.global_step + 1} of {self.state.max_steps}"
            kept = self.state.best_model_checkpoint
            hint = "lower the learning rate, or look at those rows"
            raise DataError(
                f"{what}, rows {rows}", hint=f"{hint}; the best model so far lies in {kept}" if kept else hint
            )
        return loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """The score, told to the callbacks as Trainer's own metrics are."""
        score = self._score_of(self.accelerator.unwrap_model(self.model))
        settled = self.state.global_step >= self._settled * self.state.max_steps
        metrics = {"eval_score": score, "eval_choice": score if settled else -1.0}
        self.log(metrics)
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


@torch.inference_mode()  # type: ignore[untyped-decorator]
def score_of(model: Model, task: Task, tokenizer: Tokenizer, examples: Sequence[Example], batch: int = 64) -> float:
    """The task's metric in percent of a model on labelled examples, texts of about the same length together."""
    if task.reads_source:
        return _translated(model, task, tokenizer, examples, batch)
    was, device = model.training, next(model.parameters()).device
    task = task.variant(task.metric)
    model.eval()

    def run(feeds: Any) -> dict[str, Any]:
        tensors = {name: torch.from_numpy(array).to(device) for name, array in feeds.items() if name in _FEEDS}
        # Mixed precision wraps the model's own `forward`; a score is that of the float32 weights which are saved.
        found = type(model).forward(model, **{name: tensors[name] for name in _FEEDS})
        return {name: value.float().cpu().numpy() for name, value in zip(model.names, found, strict=True)}

    items = task.items(examples)
    order = np.argsort([len(str(item)) for item in items], kind="stable")
    answers: list[Any] = [None] * len(items)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        for at, answer in zip(rows, task.answer(run, tokenizer, [items[row] for row in rows]), strict=True):
            answers[at] = answer
    model.train(was)
    return task.metric_of(answers, examples)


def _translated(model: Model, task: Task, tokenizer: Tokenizer, examples: Sequence[Example], batch: int) -> float:
    """The same of an encoder-decoder: what it writes greedily, as a bundle of it would."""
    was = model.training
    model.eval()
    inner: Any = model.inner
    most = tokenizer.max_length
    config = inner.generation_config
    ends = frozenset(np.atleast_1d(config.eos_token_id).tolist())
    rules = Rules(inner.config.decoder_start_token_id, ends, (config.pad_token_id,))
    search = Search(max_new_tokens=most)
    stepping = EagerEncoderDecoder(inner, most)
    translator = Translator(tokenizer, stepping, rules, search, task=task, prompt=task.settings.prompt)
    options = translator.options(batch_size=batch)
    answers = translator.translate([example.item for example in examples], options)
    model.train(was)
    return task.metric_of(answers, examples)


_FEEDS = ("input_ids", "attention_mask", "token_type_ids")
