"""An artifact that translates, held against the eager model's logits, in a child: token by token, and by search."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright import registry
from edgewright.bundle.manifest import Narrowed
from edgewright.data.rows import stream
from edgewright.generation.beams import Rules, Search, write
from edgewright.generation.defaults import translation_defaults
from edgewright.generation.shortlist import Shortlist
from edgewright.generation.translator import Translator
from edgewright.inference.golden import sample
from edgewright.model.decoding import WriteAnswer
from edgewright.model.translating import NarrowAnswer, TranslatedAnswer
from edgewright.proof.decoding_artifact import Sums
from edgewright.proof.score import score_all
from edgewright.statistics import metrics, translations
from edgewright.statistics.signal import sqnr_db
from edgewright.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import Score
    from edgewright.contracts.encoder_decoder import EncoderDecoder
    from edgewright.generation.beams import Hypothesis
    from edgewright.model.translating import AgainRequest, Manner, NarrowRequest, RowsRequest, TranslatedRequest
    from edgewright.statistics.metrics import Metric

__all__ = ["again", "narrowed", "rows", "translated"]


def translated(request: TranslatedRequest, progress: Callable[[str], None]) -> TranslatedAnswer:
    """Translate the sources with the artifact, on one thread, and compare."""
    model: EncoderDecoder = registry.load("runtimes", request.engine)().open_encoder_decoder(
        request.artifact, threads=1, context=request.context
    )
    manner, sources, targets = request.manner, request.sources, request.targets
    progress(f"{request.name}: gate, {len(sources)} sentences")
    sums, eager, at = Sums(), np.load(request.logits, mmap_mode="r"), 0
    for number, (source, target) in enumerate(zip(sources, targets, strict=True)):
        rows = _taught(model, source, [manner.start, *target[:-1]])
        sums.text(number, [manner.start, *target], rows, eager[at : at + len(target)])
        at += len(target)
    greedy = [_greedy(model, source, manner) for source in sources]
    progress(f"{request.name}: gate, {request.searched} sentences with {manner.num_beams} beams")
    found = [write(model, [ids], _search(manner), _rules(manner))[0] for ids in sources[: request.searched]]
    golden = [(_first(model, source, manner), _greedy(model, source, manner)) for source in request.golden]
    return TranslatedAnswer(
        inputs=model.inputs,
        outputs=model.outputs,
        **sums.answer(),
        greedy=tuple(one.tokens for one in greedy),
        ways=_ways(model, sources, targets, manner),
        samples=tuple(tuple(sample(logits).tolist()) for logits, _ in golden),
        golden=tuple(one.tokens for _, one in golden),
        searched=tuple(one.tokens for one in found),
        scores=tuple(one.score for one in found),
    )


def again(request: AgainRequest, progress: Callable[[str], None]) -> WriteAnswer:
    """Translate golden sources, on one thread, as they were recorded."""
    model: EncoderDecoder = registry.load("runtimes", request.engine)().open_encoder_decoder(
        request.artifact, threads=1, context=request.context
    )
    progress(f"{request.name}: {len(request.sources)} golden sentences")
    manner = request.manner
    return WriteAnswer(
        samples=tuple(tuple(sample(_first(model, source, manner)).tolist()) for source in request.sources),
        tokens=tuple(_greedy(model, source, manner).tokens for source in request.sources),
    )


def narrowed(request: NarrowRequest, progress: Callable[[str], None]) -> NarrowAnswer:
    """Translate labelled rows as a bundle would, greedily and with beams, held to the shortlist and not."""
    most = request.settings.max_length
    model: EncoderDecoder = registry.load("runtimes", request.engine)().open_encoder_decoder(
        request.artifact, threads=1, context=most, narrow=True
    )
    task = registry.load("tasks", "translation")(request.settings)
    examples = list(islice(stream(request.data, task), request.most))
    progress(f"{request.name}: gate of the shortlist, {len(examples)} rows of {request.data.name}")
    rules, search = translation_defaults(request.directory, most)
    shortlist, tokenizer = Shortlist.read(request.shortlist), Tokenizer(request.directory, most)
    whole, held = (
        Translator(tokenizer, model, rules, search, task=task, prompt=request.settings.prompt, shortlist=table)
        for table in (None, shortlist)
    )
    texts, wanted = [one.item for one in examples], [one.label for one in examples]
    ways = []
    for beams in (1, request.num_beams):
        options = held.options(num_beams=beams)
        ways.append(_narrowed(beams, whole.translate(texts, options), held.translate(texts, options), wanted))
    sizes = [len(shortlist.of(ids, rules)) for text in texts for ids in held.sources(text)]
    return NarrowAnswer(round(float(np.mean(sizes)), 1), model.vocabulary, len(examples), tuple(ways))


def _narrowed(beams: int, whole: Sequence[str], held: Sequence[str], wanted: Sequence[str]) -> Narrowed:
    def score(measure: Callable[..., Metric], said: Sequence[str]) -> float:
        return round(float(metrics.value(measure(said, wanted), len(wanted))), 2)

    return Narrowed(
        num_beams=beams,
        equal=sum(a == b for a, b in zip(whole, held, strict=True)),
        bleu=score(translations.bleu, held),
        whole_bleu=score(translations.bleu, whole),
        chrf=score(translations.chrf, held),
        whole_chrf=score(translations.chrf, whole),
    )


def rows(request: RowsRequest, progress: Callable[[str], None]) -> Score:
    """The metric of what an artifact writes, on one thread, as a bundle of it would."""
    most = request.settings.max_length
    model: EncoderDecoder = registry.load("runtimes", request.engine)().open_encoder_decoder(
        request.artifact, threads=1, context=most
    )
    progress(f"{request.name}: {request.metric} on {request.data.name}")
    task = registry.load("tasks", "translation")(request.settings)
    rules, search = translation_defaults(request.directory, most)
    tokenizer = Tokenizer(request.directory, most)
    translator = Translator(tokenizer, model, rules, search, task=task, prompt=request.settings.prompt)
    return score_all(translator, request.data, (request.metric,))[0].score


def _rules(manner: Manner) -> Rules:
    return Rules(manner.start, frozenset(manner.ends), manner.banned, manner.forced, manner.renormalize)


def _search(manner: Manner) -> Search:
    stopping: Any = manner.early_stopping
    return Search(manner.num_beams, manner.length_penalty, stopping, manner.most)


def _greedy(model: EncoderDecoder, source: Sequence[int], manner: Manner) -> Hypothesis:
    return write(model, [source], Search(max_new_tokens=manner.most), _rules(manner))[0]


def _first(model: EncoderDecoder, source: Sequence[int], manner: Manner) -> NDArray[np.float32]:
    """The logits of the first token."""
    model.begin([source])
    found: NDArray[np.float32] = model.step([manner.start])[0].copy()
    return found


def _taught(model: EncoderDecoder, source: Sequence[int], given: Sequence[int]) -> Iterator[NDArray[np.float32]]:
    model.begin([source])
    for token in given:
        yield model.step([token])


def _ways(
    model: EncoderDecoder, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], manner: Manner
) -> dict[str, float]:
    """The certificate of the caches: SQNR of the last logits of a text that was not read and written alone.

    `together` stands beside the longest source, which pads its own; `reordered` goes on from another beam's row.
    """
    chosen = max(range(len(sources)), key=lambda at: (len(targets[at]), -len(sources[at])))
    source, given = sources[chosen], [manner.start, *targets[chosen][:-1]]
    alone = [row[0].copy() for row in _taught(model, source, given)][-1].astype(np.float64)
    model.begin([source, max(sources, key=len)])
    for token in given:
        logits = model.step([token, token])
    found = {"together": logits[0].astype(np.float64)}
    model.begin([source], beams=2)
    for at, token in enumerate(given):
        other = given[max(at - 1, 0)]
        logits = model.step([other, token] if at % 2 else [token, other])
        if at % 2:
            model.reorder(np.array([1, 1]))
        else:
            model.reorder(np.array([0, 0]))
    last = len(given) - 1
    found["reordered"] = logits[last % 2].astype(np.float64)
    return {way: float(sqnr_db(alone, logits - alone)) for way, logits in found.items()}
