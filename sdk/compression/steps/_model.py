"""Loading and saving of the models that steps change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from edgewright import registry
from edgewright.errors import SourceError, UsageError, one_line
from edgewright.model.carried import carry
from edgewright.model.loading import body_class
from edgewright.training import corpus
from edgewright.training._batches import collate
from edgewright.training._models import load
from edgewright.training.objectives import objective_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgewright.model.source import Source
    from edgewright.tasks import Task

__all__ = ["attentions", "batches", "keep_inputs", "keep_outputs", "loaded", "save", "skeleton", "task_of"]


def task_of(source: Source) -> Task:
    """The task of a model, with its labels."""
    task: Task = registry.load("tasks", source.task)(source.settings)
    return task


def loaded(source: Source) -> Any:
    """The model itself, ready to be changed."""
    return load(source, task_of(source)).inner.eval()


def skeleton(source: Source) -> Any:
    """The model without its weights, to look at its layers before anything begins. Raises SourceError."""
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(source.directory, trust_remote_code=False)
        with torch.device("meta"):
            vectors = source.task == "feature-extraction"
            name = body_class(source.directory) if vectors else task_of(source).auto_class
            kind = getattr(transformers, name)
            return kind.from_config(config) if name.startswith("Auto") else kind(config)
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(f"{source.directory} does not load: {one_line(str(error), 300)}") from error


def save(model: Any, source: Source, out: Path, *, tokenizer: bool = True) -> None:
    """Write a model, and everything that the one that it was made of says of itself."""
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    for path in out.iterdir():
        path.chmod(0o644)
    carry(source, out, tokenizer=tokenizer)


def batches(
    source: Source, rows: Path, scratch: Path, count: int, seed: int, size: int = 32
) -> Iterator[dict[str, Any]]:
    """Some batches of labelled rows, as the training loop sees them; always the same ones."""
    task, objective = task_of(source), objective_of(task_of(source))
    found = corpus.write(rows, task, source.tokenizer(), objective, scratch)
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))[: count * size].tolist()
    order.sort(key=lambda at: int(found.lengths[at]))
    for start in range(0, len(order), size):
        yield collate([(at, found[at], (), found.per_token) for at in order[start : start + size]])


def attentions(model: Any, step: str) -> list[Any]:
    """The self-attention of each layer: modules with `self.query`, `self.key`, `self.value` and `output.dense`."""
    found = [
        module
        for module in model.modules()
        if all(hasattr(getattr(module, "self", None), name) for name in ("query", "key", "value"))
        and hasattr(getattr(module, "output", None), "dense")
    ]
    if not found:
        raise UsageError(f"{step} finds no attention like BERT's in a {model.config.model_type}")
    return found


def keep_outputs(linear: Any, kept: Any) -> None:
    """Leave only some rows of a matrix, int64 (kept,)."""
    linear.weight = torch.nn.Parameter(linear.weight.detach()[kept].clone())
    if linear.bias is not None:
        linear.bias = torch.nn.Parameter(linear.bias.detach()[kept].clone())
    linear.out_features = len(kept)


def keep_inputs(linear: Any, kept: Any) -> None:
    """Leave only some columns of a matrix, int64 (kept,)."""
    linear.weight = torch.nn.Parameter(linear.weight.detach()[:, kept].clone())
    linear.in_features = len(kept)
