"""The loop of a training from nothing: token files and a shape in, the best model, the curves and samples out."""

from __future__ import annotations

import math
import shutil
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from edgewright.errors import DataError, StorageError, one_line
from edgewright.system.atomic import staged
from edgewright.system.files import writing
from edgewright.training.unfinished import is_first, processes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.training.pretraining_recipe import PretrainingRecipe
    from edgewright.training.token_files import Shard, TokenFiles

__all__ = ["BEST", "Batches", "Pretraining", "Tale", "Teacher", "optimizer_of"]

BEST = "best"
"""The directory of the best model so far, in that of the unfinished run."""
_STATE = "state.pt"
_BETA_1 = 0.9
"""Adam's own (Kingma and Ba, arXiv 1412.6980)."""
_PEAK_SIDES, _PEAK_TIMES = {"cpu": 1024, "cuda": 8192}, 4
"""A product of two such matrices takes 2 GFLOP, and 1100: long enough for the peak, soon done."""
_SAMPLE_TOKENS, _SAMPLE_TOP = 96, 50
"""A choice: some lines of text, of words that are likely."""
_SAMPLE_WARMTH = 0.8
"""A choice: below 1, since a small model's tail is noise."""


class Batches:
    """Rows of a context and the token behind it, from token files, in an order that a seed decides.

    A pass over the tokens takes windows that do not overlap, each once, and begins them elsewhere than the pass before.
    Which rows a step has depends on its number alone, so that a run goes on as if it had not stopped. A pass's order is
    held, eight bytes a window; tokens are read when they are needed.

    Args:
        files: the tokens.
        context: tokens of a row.
        seed: of the order.
    """

    def __init__(self, files: TokenFiles, context: int, seed: int) -> None:
        self._files, self._context, self._seed = files, context, seed
        self._shards = [shard for shard in files.shards("train") if shard.tokens > context]
        self._ends = np.cumsum([self._windows(shard) for shard in self._shards], dtype=np.int64)
        if not self._shards:
            tokens = files.tokens("train")
            raise DataError(
                f"{tokens} tokens do not fill a row of {context}", hint="give more text, or lower --context"
            )
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def __len__(self) -> int:
        """Rows of a pass."""
        return int(self._ends[-1])

    def rows(self, first: int, count: int) -> torch.Tensor:
        """Rows int64 (count, context + 1), counted over all passes from `first` on."""
        return torch.from_numpy(np.stack([self._row(at) for at in range(first, first + count)]))

    def held(self, most_tokens: int) -> list[tuple[Shard, int]]:
        """Where the rows of validation begin: shards and places in them, at most so many tokens."""
        found = [
            (shard, start)
            for shard in self._files.shards("validation")
            for start in range(0, shard.tokens - self._context, self._context)
        ]
        if not found:
            tokens = self._files.tokens("validation")
            what = f"{tokens} tokens of validation do not fill a row of {self._context}"
            raise DataError(what, hint="give more text, raise --validation, or lower --context")
        return found[: max(1, most_tokens // self._context)]

    def at(self, places: list[tuple[Shard, int]]) -> torch.Tensor:
        """Rows int64 (places, context + 1)."""
        return torch.from_numpy(np.stack([self._files.read(shard, at, self._context + 1) for shard, at in places]))

    def _windows(self, shard: Shard) -> int:
        """One fewer than fit, so that they can begin anywhere in the first one's place."""
        return max(1, (shard.tokens - 1) // self._context - 1)

    def _row(self, number: int) -> NDArray[np.int64]:
        epoch, at = divmod(number, len(self))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng([self._seed, epoch]).permutation(len(self))
        window = int(self._order[at])
        which = int(np.searchsorted(self._ends, window, side="right"))
        shard = self._shards[which]
        inside = window - (int(self._ends[which - 1]) if which else 0)
        slack = shard.tokens - 1 - self._windows(shard) * self._context
        begin = int(np.random.default_rng([self._seed, epoch, which]).integers(slack + 1))
        return self._files.read(shard, begin + inside * self._context, self._context + 1)


@dataclass
class Tale:
    """What a run has come to so far: part of its state, and of the record of the finished model.

    Attributes:
        losses: (step, loss, learning rate) of every step.
        validations: (step, loss) in nats a token.
        samples: (step, text).
        best: the lowest validation loss.
        seconds: of steps, without validation.
        tokens: trained on, of all processes.
    """

    losses: list[tuple[int, float, float]] = field(default_factory=list)
    validations: list[tuple[int, float]] = field(default_factory=list)
    samples: list[tuple[int, str]] = field(default_factory=list)
    best: float = math.inf
    best_step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    peak_flops: float = 0.0


@dataclass(frozen=True)
class Teacher:
    """A bigger model whose probabilities are learnt (Hinton et al. 2015, arXiv 1503.02531).

    Attributes:
        model: gives logits over the same vocabulary.
        alpha: weight of the text; the rest is the teacher's.
        temperature: softens both sides' probabilities.
    """

    model: Any
    alpha: float
    temperature: float

    def loss(self, logits: torch.Tensor, rows: torch.Tensor, plain: torch.Tensor) -> torch.Tensor:
        """The loss of logits float32 (tokens, vocabulary) of rows (batch, context)."""
        with torch.no_grad():
            taught = self.model(input_ids=rows, use_cache=False).logits.float().flatten(0, 1)
        taught = taught[:, : logits.shape[1]]
        warm = self.temperature
        own, theirs = (functional.log_softmax(one / warm, -1) for one in (logits, taught))
        distance = functional.kl_div(own, theirs, log_target=True, reduction="batchmean") * warm**2
        return self.alpha * plain + (1 - self.alpha) * distance


def optimizer_of(model: Any, recipe: PretrainingRecipe, device: str) -> torch.optim.AdamW:
    """AdamW in its fused form, with weight decay on matrices alone."""
    known = [one for one in model.parameters() if one.requires_grad]
    groups = [
        {"params": [one for one in known if one.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [one for one in known if one.dim() < 2], "weight_decay": 0.0},
    ]
    fused = device in ("cpu", "cuda")
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(_BETA_1, recipe.beta2), fused=fused)


@dataclass
class Pretraining:
    """One run.

    Attributes:
        model: of transformers, with its weights as they begin.
        batches: what it is trained on.
        recipe: the settings; its precision is no longer `auto`.
        place: the directory of the unfinished run.
        flops: of a step, for each token.
        keep: called with a directory to put what a model's directory has beside the model.
        write: token numbers (n,) -> text.
        prompt: tokens that samples begin with.
        progress: told how it goes.
    """

    model: Any
    batches: Batches
    recipe: PretrainingRecipe
    place: Path
    flops: int
    keep: Callable[[Path], None]
    write: Callable[[list[int]], str]
    prompt: list[int]
    progress: Callable[[str], None]
    teacher: Teacher | None = None

    def __post_init__(self) -> None:
        """Bring the model to where it is trained."""
        state = processes()
        self._rank, self._world = int(state.process_index), int(state.num_processes)
        self._place_of_tensors = state.device
        self._device = state.device.type
        self.model.to(state.device)
        if self.teacher:
            self.teacher.model.to(state.device).eval()
        if self.recipe.checkpointing:
            self.model.activation_checkpointing_enable({"use_reentrant": False})
        self._optimizer = optimizer_of(self.model, self.recipe, self._device)
        self._scaler = torch.amp.GradScaler(self._device, enabled=self.recipe.precision == "fp16")
        self._wrapped = torch.nn.parallel.DistributedDataParallel(self.model) if self._world > 1 else self.model
        self._tale = Tale()

    @property
    def rows_of_step(self) -> int:
        """Rows of a step, of all processes."""
        return self.recipe.batch * self.recipe.accumulation * self._world

    @property
    def steps(self) -> int:
        """Steps of the run."""
        context = int(self.model.config.max_position_embeddings)
        tokens = self.recipe.tokens or self.recipe.epochs * len(self.batches) * context
        return max(1, round(tokens / (self.rows_of_step * context)))

    def run(self) -> Tale:
        """Train, from the state that an earlier process left if there is one.

        Raises:
            DataError: a loss that is no number, or a shard that was cut meanwhile; what was saved before stays.
            StorageError: the disk is full or read-only.
        """
        steps, found = self.steps, self._load()
        every, begin = max(1, steps // self.recipe.evaluations), found or 0
        if found is None:
            self._tale.peak_flops = self._world * _peak(self._place_of_tensors, self._type)
            self._validate(0, steps)
        since = (time.monotonic(), begin)
        for step in range(begin, steps):
            started = time.monotonic()
            rate = self.recipe.rate(step, steps)
            loss = self._step(step, steps, rate)
            self._tale.losses.append((step + 1, loss, rate))
            self._tale.tokens += self.rows_of_step * self.model.config.max_position_embeddings
            self._tale.seconds += time.monotonic() - started
            self.progress(self._said(step + 1, steps, since))
            if (step + 1) % every == 0 or step + 1 == steps:
                self._validate(step + 1, steps)
        return self._tale

    @property
    def _type(self) -> torch.dtype:
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.recipe.precision, torch.float32)

    def _step(self, step: int, steps: int, rate: float) -> float:
        """One step of the optimizer; the mean loss of its rows."""
        torch.manual_seed((self.recipe.seed * steps + step) * self._world + self._rank)  # of dropout
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        total = torch.zeros((), device=self._place_of_tensors)
        for micro in range(self.recipe.accumulation):
            at = step * self.rows_of_step + (micro * self._world + self._rank) * self.recipe.batch
            rows = self.batches.rows(at, self.recipe.batch).to(self._place_of_tensors)
            last = micro + 1 == self.recipe.accumulation
            with nullcontext() if last or self._world == 1 else self._wrapped.no_sync():
                loss = self._loss(self._wrapped, rows) / self.recipe.accumulation
                self._scaler.scale(loss).backward()
            total += loss.detach()
        mean = self._mean(total)
        self._scaler.unscale_(self._optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self._check(mean, float(norm), step, steps)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        return mean

    def _loss(self, model: Any, rows: torch.Tensor, *, taught: bool = True) -> torch.Tensor:
        """The mean loss of rows (batch, context + 1), in nats a token."""
        with torch.autocast(self._device, self._type, enabled=self.recipe.precision != "fp32"):
            logits = model(input_ids=rows[:, :-1], use_cache=False).logits
        logits = logits.float().flatten(0, 1)
        plain = functional.cross_entropy(logits, rows[:, 1:].flatten())
        return self.teacher.loss(logits, rows[:, :-1], plain) if self.teacher and taught else plain

    def _check(self, loss: float, norm: float, step: int, steps: int) -> None:
        """Raise DataError where a step has come to no number; an fp16 step that is only too large is left out."""
        if math.isfinite(loss) and (math.isfinite(norm) or self._scaler.is_enabled()):
            return
        what = f"the loss is {loss:g}" if not math.isfinite(loss) else f"the norm of the gradients is {norm:g}"
        best = self._tale.best_step
        kept = f"; the best model so far, of step {best}, lies in {self.place / BEST}" if best else ""
        raise DataError(f"{what} at step {step + 1} of {steps}", hint=f"lower the learning rate{kept}")

    def _mean(self, value: torch.Tensor) -> float:
        """The mean of a number over all processes."""
        if self._world > 1:
            torch.distributed.all_reduce(value)
            value = value / self._world
        return float(value)

    def _validate(self, step: int, steps: int) -> None:
        """Look at validation, keep what is best, write a sample, and save the state."""
        places = self.batches.held(self.recipe.evaluation_tokens)
        mine = places[self._rank :: self._world]
        sums = torch.zeros(2, device=self._place_of_tensors)
        self.model.eval()
        with torch.no_grad():
            for start in range(0, len(mine), self.recipe.batch):
                rows = self.batches.at(mine[start : start + self.recipe.batch]).to(self._place_of_tensors)
                sums += torch.stack(
                    [self._loss(self.model, rows, taught=False) * len(rows), sums.new_tensor(len(rows))]
                )
        if self._world > 1:
            torch.distributed.all_reduce(sums)
        loss = float(sums[0] / sums[1])
        if not math.isfinite(loss):
            self._check(loss, 0.0, max(0, step - 1), steps)
        self._tale.validations.append((step, loss))
        best = step > 0 and loss < self._tale.best
        if best:
            self._tale.best, self._tale.best_step = loss, step
        if is_first():
            self._tale.samples.append((step, self._sample()))
            sample = one_line(self._tale.samples[-1][1])
            self.progress(f"step {step} of {steps}, validation loss {loss:.4f}: {sample}")
            self._save(step, best=best)
        self.model.train()

    def _sample(self) -> str:
        """What the model writes now, of likely words, the same for the same weights."""
        torch.manual_seed(self.recipe.seed)
        given = torch.tensor([self.prompt], device=self._place_of_tensors)
        room = self.model.config.max_position_embeddings - len(self.prompt)
        how = {"do_sample": True, "temperature": _SAMPLE_WARMTH, "top_k": _SAMPLE_TOP}
        with torch.no_grad():
            found = self.model.generate(given, max_new_tokens=min(_SAMPLE_TOKENS, room), **how)
        return self.write(found[0].tolist())

    def _save(self, step: int, *, best: bool) -> None:
        """The best model as a directory of its own, then the state: a kill between them leaves an older state."""
        if best:
            with staged(self.place / BEST, marker="config.json", force=True) as work:
                self.model.save_pretrained(work)
                self.keep(work)
        state = {
            "step": step,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "tale": vars(self._tale),
        }
        with writing(self.place / _STATE) as file:
            try:
                torch.save(state, file)
            except RuntimeError as error:  # what the disk said is lost on the way through the library
                free = shutil.disk_usage(self.place).free
                what = f"cannot write {self.place / _STATE}: {free} bytes are free"
                raise StorageError(what, hint="free some space, and give --resume") from error

    def _load(self) -> int | None:
        """Take up the state that was saved, if there is one; how many steps it has."""
        path = self.place / _STATE
        if not path.is_file():
            return None
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a state that was damaged raises whatever the library meets
            raise StorageError(
                f"{path} cannot be read: {error}", hint=f"remove {self.place}, and begin anew"
            ) from error
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        self._tale = Tale(**state["tale"])
        return int(state["step"])

    def _said(self, step: int, steps: int, since: tuple[float, int]) -> str:
        tale = self._tale
        speed = tale.tokens / max(tale.seconds, 1e-9)
        share = f", {100 * speed * self.flops / tale.peak_flops:.0f} % of the peak" if tale.peak_flops else ""
        left_s = (steps - step) * (time.monotonic() - since[0]) / max(1, step - since[1])
        left = f", {left_s / 60:.0f} min left" if left_s > 60 else ""
        held = f", validation {tale.validations[-1][1]:.4f}" if tale.validations else ""
        return f"step {step} of {steps}, loss {tale.losses[-1][1]:.4f}{held}, {speed:.0f} tokens/s{share}{left}"


def _peak(device: torch.device, kind: torch.dtype) -> float:
    """Operations a second of a product of two large matrices here: the most that a training could do."""
    if device.type == "cpu" and kind == torch.float16:  # which it computes by way of float32, a thousand times slower
        kind = torch.float32
    side = _PEAK_SIDES.get(device.type, _PEAK_SIDES["cpu"])
    one = torch.ones(side, side, device=device, dtype=kind)
    seconds = []
    for _ in range(_PEAK_TIMES):
        started = time.monotonic()
        float((one @ one)[0, 0])  # which waits for the device
        seconds.append(time.monotonic() - started)
    return float(2 * side**3 / min(seconds))
