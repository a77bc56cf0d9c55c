"""What runs in a child that looks at an eager model: its scores, its outputs, and what goes on inside of it."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright.contracts.engine import Session
from edgewright.converters._model import eager
from edgewright.data import rows as data
from edgewright.errors import UnsupportedConversion
from edgewright.generation.defaults import translation_defaults
from edgewright.generation.translator import Translator
from edgewright.inference.pipeline import Pipeline
from edgewright.proof.score import Cost, EvaluateAnswer, score_all
from edgewright.proof.subjects import FactsAnswer
from edgewright.system import arrays
from edgewright.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch
    from numpy.typing import NDArray

    from edgewright.analysis.probe import StatesRequest
    from edgewright.model.eager import Look
    from edgewright.proof.score import EvaluateRequest
    from edgewright.proof.subjects import FactsRequest

    Feeds = Mapping[str, NDArray[Any]]

__all__ = ["attentions", "evaluate", "facts", "opened", "states"]

_SENTENCES = 32
"""That the eager model translates together: a step of it costs some milliseconds, whatever it computes."""
_WARM_UP_MS = 300.0
"""A choice: long enough for caches, allocators and threads, short beside what is timed after it."""


class _EagerSession(Session):
    """The eager model where an engine would be."""

    def __init__(self, model: eager.Eager) -> None:
        self.model = model

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        outputs: dict[str, NDArray[Any]] = eager.run(self.model, feeds)
        return outputs


def evaluate(request: EvaluateRequest, progress: Callable[[str], None]) -> EvaluateAnswer:
    """Score the model on the rows of `data`; with `timed` texts measure latency on so many, and peak memory."""
    if registry.load("tasks", request.source.task).reads_source:
        return _evaluate_translator(request, progress)
    model, pipeline = opened(request, progress)
    progress(f"score the eager model on {request.data.name}")
    pipeline = pipeline.asking(**request.options)
    scored = score_all(pipeline, request.data, request.metric)
    cost = None
    if request.timed:
        task = pipeline.task.variant(scored[0].score.metric)
        items = task.items(data.examples(request.data, task))[: request.timed]
        cost = _cost(model, [batch for item in items for batch in task.encode(pipeline.tokenizer, [item]).batches])
    return EvaluateAnswer(scored, cost)


def _evaluate_translator(request: EvaluateRequest, progress: Callable[[str], None]) -> EvaluateAnswer:
    """The scores of an encoder-decoder, which the search asks a step at a time."""
    from edgewright.training._eager_translator import EagerEncoderDecoder

    model, pipeline = opened(request, progress)
    progress(f"score the eager model on {request.data.name}")
    most = pipeline.task.settings.max_length
    rules, search = translation_defaults(request.source.directory, most)
    words = pipeline.task.settings.prompt
    translator = Translator(
        pipeline.tokenizer, EagerEncoderDecoder(model.model, most), rules, search, task=pipeline.task, prompt=words
    )
    translator.defaults = translator.options(batch_size=_SENTENCES)
    return EvaluateAnswer(score_all(translator, request.data, request.metric))


def facts(request: FactsRequest, progress: Callable[[str], None]) -> FactsAnswer:
    """Run the batches in `feeds`, write the outputs to `out`; count weights and zeros; time a run; score on `data`."""
    model, pipeline = opened(request, progress)
    batches = arrays.load(request.feeds)
    progress(f"run the eager model on {len(batches)} batches")
    arrays.save(request.out, eager.run_all(model, batches, request.threads))
    scored = score_all(pipeline, request.data, request.metric) if request.data else ()
    nonzeros = sum(int(weight.count_nonzero()) for weight in model.parameters())
    return FactsAnswer(scored, model.parameters_count(), nonzeros, _cost(model, batches[: request.timed]))


def attentions(request: Look, progress: Callable[[str], None]) -> None:
    """Write the attention of each layer on the one batch in `feeds`, float32 (heads, queries, keys), to `out`."""
    model, _ = opened(request, progress)
    (batch,) = arrays.load(request.feeds)
    found = [one for one in _inside(model, batch, "attentions") if one is not None]
    if not found or any(one.ndim != 4 for one in found):
        what = f"{type(model.model).__name__} does not show its attention"
        raise UnsupportedConversion(what, hint="BERT, RoBERTa, DistilBERT, MiniLM, ELECTRA and their kin do")
    arrays.save(request.out, [{"attention": one[0].float().numpy()} for one in found])


def states(request: StatesRequest, progress: Callable[[str], None]) -> None:
    """Write what every layer makes of the batches in `feeds` to `out`, float32 (kept, layers + 1, width) for each.

    A batch's `kept`, int64 (batch, length), says which tokens: each of them by itself, or with `mean` their mean.
    """
    import torch

    model, _ = opened(request, progress)
    batches, found = arrays.load(request.feeds), []
    for at, batch in enumerate(batches):
        if at % 200 == 0:
            progress(f"hidden states of {at} of {len(batches)} texts")
        layers = torch.stack(list(_inside(model, batch, "hidden_states")), dim=2).float()
        rows = layers[torch.from_numpy(batch["kept"]).bool()]
        found.append({"states": (rows.mean(dim=0, keepdim=True) if request.mean else rows).numpy()})
    arrays.save(request.out, found)


def opened(request: Look, progress: Callable[[str], None]) -> tuple[eager.Eager, Pipeline]:
    """The eager model, and a pipeline in which it stands where an artifact would."""
    import torch

    progress("load the model")
    torch.set_num_threads(request.threads)
    source = request.source
    model = eager.load(source)
    task = registry.load("tasks", source.task)(source.settings)
    tokenizer = Tokenizer(source.directory, source.settings.max_length)
    return model, Pipeline(None, task, tokenizer, _EagerSession(model))


def _inside(model: eager.Eager, batch: Feeds, what: str) -> Sequence[torch.Tensor | None]:
    """The model's `hidden_states` or `attentions` of a batch, a tensor for each layer. Raises UnsupportedConversion."""
    import torch

    with torch.inference_mode():
        tensors = {name: torch.from_numpy(batch[name]) for name in model.inputs}
        given = model.model(**tensors, **{f"output_{what}": True})
    found = given.get(what) if hasattr(given, "get") else None
    if not found:
        what = f"{type(model.model).__name__} does not show its {what.replace('_', ' ')}"
        raise UnsupportedConversion(what, hint="give a model of transformers that does")
    return list(found)


def _cost(model: eager.Eager, batches: Sequence[Feeds]) -> Cost:
    """The median of a run over all batches, after a warm-up, with the process's peak memory."""
    import torch

    clock, took, at, begin = time.perf_counter_ns, [], 0, time.perf_counter_ns()
    while (clock() - begin) / 1e6 < _WARM_UP_MS:
        eager.run(model, batches[at % len(batches)])
        at += 1
    for batch in batches:
        start = clock()
        eager.run(model, batch)
        took.append(clock() - start)
    status = Path("/proc/self/status").read_text().split()
    peak = int(status[status.index("VmHWM:") + 1]) / 1024
    return Cost(median(took) / 1e6, peak, f"torch {torch.__version__}, eager")
