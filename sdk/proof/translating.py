"""The proof of an encoder-decoder: what its artifacts are asked to translate, and the verdict.

Every token of the eager model's greedy translations is predicted from those before it, as a decoder's texts are; greedy
translations and those of the model's own search with beams must be the eager model's at fp32.
"""

from __future__ import annotations

import json
import math
from importlib import resources
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgewright import registry
from edgewright.bundle.manifest import Decoding, Golden, GoldenCase, Score, Shortlisted
from edgewright.data.rows import stream
from edgewright.errors import DataError, GateFailed, quoted
from edgewright.generation.defaults import translation_defaults
from edgewright.inference.engines import engine_for
from edgewright.model.eager import ask_in
from edgewright.model.translating import (
    NARROWED,
    ROWS,
    TABLE,
    TRANSLATE,
    TRANSLATED,
    Manner,
    NarrowRequest,
    RowsRequest,
    TableRequest,
    TranslatedRequest,
    TranslationRequest,
)
from edgewright.proof.decoder_limits import DECODER_LIMITS
from edgewright.proof.decoding import TIE, batch_of, broken, exp_of, parity_of
from edgewright.proof.held import Held
from edgewright.proof.limits import LIMITS
from edgewright.proof.parity import score_failure
from edgewright.proof.score import EVALUATE, EvaluateRequest
from edgewright.system.limits import allowed
from edgewright.text.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgewright.contracts.engine import Runtime
    from edgewright.contracts.precision import Precision
    from edgewright.model.source import Source
    from edgewright.model.translating import EagerTranslation, TranslatedAnswer
    from edgewright.system.jobs import Jobs

__all__ = ["TranslatorProof", "manner_of"]

_PROSE = 24
"""Sentences of the gate's prose: a choice, five hundred tokens to predict."""
_ODD = 16
"""Of the gate's other texts: one word, emoji, other scripts, nothing at all."""
_SEARCHED = 20
"""Sentences that are looked for with beams as well: a choice, sixty translations in all."""
_WRITTEN = 48
"""Tokens of a translation: a choice, a long sentence."""
_NARROWED = 1000
"""Rows of --data that are translated with a shortlist and without: a choice, half a minute for an 8M model."""
_MOST_LOST = 0.5
"""Points of BLEU that a shortlist may cost, beside the same artifact without it: a choice, what int8 may cost."""
_METRIC = "bleu"
"""What may lose as many points as any metric, see `edgewright.proof.limits`."""
_BEAMS = 4
"""Where a model's own files ask for no beams: OPUS-MT's and T5's number."""
_GOLDEN = ("Turn on the lights.", "The river had risen in the night.", "Where is the station?", "22 degrees, 10 AM!")
"""Sources of golden cases: a command, a statement, a question, numbers."""
_GOLDEN_WRITTEN = 24
"""Tokens of a golden translation: a sentence."""


class TranslatorProof:
    """The sources of an encoder-decoder's gate, with what the eager model writes.

    Attributes:
        settings: the source's.
        example: one batch, as exporters take it.
        calibration: nothing: no precision measures ranges.
        parameters: the number of the model's weights.
        outside: what told the tokens.
    """

    calibration: tuple[dict[str, NDArray[np.int64]], ...] = ()

    def __init__(
        self, source: Source, jobs: Jobs, *, labelled: Path | None = None, shortlist: tuple[Path, Path] | None = None
    ) -> None:
        if labelled:
            registry.require(("sacrebleu",), "translation")
        for path in (labelled, shortlist[0] if shortlist else None):
            self._look_into(path, source)
        self._source, self._tokenizer, self._jobs = source, source.tokenizer(), jobs
        self.settings = source.settings
        self._context = source.settings.max_length
        self._manner = manner_of(source.directory, min(_WRITTEN, self._context))
        words = tuple(_texts())
        every = [tuple(self._tokenizer.ids(text)) for text in words]
        self._sources = (*(ids[: self._context] for ids in every), _filled(every, self._context))
        self._golden = [tuple(self._tokenizer.ids(text))[: self._context] for text in _GOLDEN]
        self._logits = jobs.scratch / "logits.npy"
        request = TranslationRequest(
            source=source.job(),
            threads=allowed().threads,
            sources=self._sources,
            searched=_SEARCHED,
            manner=self._manner,
            logits=self._logits,
            words=words,
        )
        self._eager, _ = ask_in(jobs, TRANSLATE, request)
        self.parameters = self._eager.parameters
        self.outside: str | None = f"{self._eager.library} on {len(words)} texts"
        self._check_texts(words, every)
        self._answers: dict[str, TranslatedAnswer] = {}
        self._labelled, self._wanted = labelled, self._eager_score(labelled) if labelled else None
        self._shortlist, self._learnt = shortlist[1] if shortlist else None, 0
        if shortlist:
            self._learnt = self._learn(*shortlist)

    @staticmethod
    def _look_into(path: Path | None, source: Source) -> None:
        """Read a first pair, before the eager model translates for minutes. Raises DataError where there is none."""
        if path and next(stream(path, registry.load("tasks", source.task)(source.settings)), None) is None:
            raise DataError(f"{path} has no pair", hint="give columns source and target")

    def _learn(self, pairs: Path, out: Path) -> int:
        """Write the table of a shortlist; from how many pairs it was learnt."""
        request = TableRequest(
            source=self._source.job(), pairs=pairs.absolute(), vocabulary=self._eager.vocabulary, out=out
        )
        answer = self._jobs.run(TABLE, request)
        if answer.left:
            self._jobs.progress(f"the shortlist is of the first {answer.pairs} pairs, {answer.left} were left out")
        return answer.pairs

    def _eager_score(self, labelled: Path) -> Score:
        """BLEU of the eager model on labelled rows."""
        request = EvaluateRequest(
            source=self._source.job(), threads=allowed().threads, data=labelled.absolute(), metric=(_METRIC,)
        )
        answer, _ = ask_in(self._jobs, EVALUATE, request)
        return answer.scored[0].score

    def _check_texts(self, words: tuple[str, ...], ours: list[tuple[int, ...]]) -> None:
        """Raise GateFailed where transformers makes other tokens of a text, or another text of tokens."""
        library, hint = self._eager.library, "does tokenizer.json say it all?"
        for text, found, wanted in zip(words, ours, self._eager.words, strict=True):
            if found != wanted:
                at = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), len(found))
                made = f"{library} makes {len(wanted)} tokens of {quoted(text)}, edgewright {len(found)}"
                raise GateFailed(f"{made}, first difference at {at}", hint=hint)
        for tokens, said in zip(self._eager.greedy, self._eager.said, strict=True):
            if (own := self._tokenizer.decode(tokens).strip()) != said.strip():
                raise GateFailed(f"{library} reads {quoted(said)} where edgewright reads {quoted(own)}", hint=hint)

    @property
    def example(self) -> dict[str, NDArray[np.int64]]:
        """Two rows of an odd length."""
        return batch_of([(self._sources[0] * 9)[:9], (self._sources[1] * 9)[:9]])

    def held(self, name: str, precision: Precision, path: Path, *, allow_divergence: bool) -> Held:
        """Translate with an artifact, and judge it.

        Raises:
            GateFailed: a limit of `precision` is broken; with `allow_divergence` the parity record says it instead.
        """
        engine = engine_for(name)
        request = TranslatedRequest(
            name=f"{name} {precision}",
            engine=engine.engine,
            artifact=path,
            context=self._context,
            sources=self._sources,
            targets=self._eager.greedy,
            searched=_SEARCHED,
            manner=self._manner,
            logits=self._logits,
            golden=tuple(self._golden),
        )
        answer = self._jobs.run(TRANSLATED, request, preload=engine.preload)
        decoding = _decoding(answer, self._eager, max(map(len, self._sources)), self._manner.most)
        said = "the eager model's translations"
        score = Score("perplexity", decoding.perplexity, decoding.tokens, said, decoding.reference)
        failed = broken(answer, decoding, DECODER_LIMITS[precision])
        if self._labelled and self._wanted:
            score = replace(self._scored(request, engine, self._labelled), reference=self._wanted.value)
            failed = failed or score_failure(score, LIMITS[precision])
        shortlist = self._narrowed(request, engine) if name == "onnx" and not failed else None
        failed = failed or (_cost(shortlist) if shortlist else None)
        if failed and not allow_divergence:
            raise GateFailed(failed, hint="--allow-divergence keeps it and records the failure")
        self._answers[f"{path.parent.name}/{path.name}"] = answer
        parity = replace(parity_of(answer), diverged=failed)
        return Held(answer.inputs, answer.outputs, parity, score, decoding, shortlist)

    def _narrowed(self, request: TranslatedRequest, engine: Runtime) -> Shortlisted | None:
        """What the shortlist does to an artifact's translations, None without one."""
        if not self._shortlist or not self._labelled:
            return None
        asked = NarrowRequest(
            name=request.name,
            engine=request.engine,
            artifact=request.artifact,
            directory=self._source.directory,
            settings=self._source.settings,
            shortlist=self._shortlist,
            data=self._labelled.absolute(),
            most=_NARROWED,
            num_beams=self._manner.num_beams,
        )
        found = self._jobs.run(NARROWED, asked, preload=engine.preload)
        return Shortlisted(
            candidates=found.candidates,
            vocabulary=found.vocabulary,
            rows=found.rows,
            data=self._labelled.name,
            pairs=self._learnt,
            ways=found.ways,
        )

    def _scored(self, request: TranslatedRequest, engine: Runtime, labelled: Path) -> Score:
        asked = RowsRequest(
            name=request.name,
            engine=request.engine,
            artifact=request.artifact,
            directory=self._source.directory,
            settings=self._source.settings,
            data=labelled.absolute(),
            metric=_METRIC,
        )
        return self._jobs.run(ROWS, asked, preload=engine.preload)

    def golden(self) -> Golden:
        """A golden case for each golden source: the logits of its first token, and what each artifact writes."""
        return Golden(cases=tuple(self._golden_case(at, text) for at, text in enumerate(_GOLDEN)))

    def _golden_case(self, at: int, text: str) -> GoldenCase:
        first = next(iter(self._answers.values()))
        return GoldenCase(
            text=text,
            input_ids=self._golden[at],
            outputs={
                path: tuple(float(f"{value:.6g}") for value in answer.samples[at])
                for path, answer in self._answers.items()
            },
            answer=[{"translation_text": self._tokenizer.decode(first.golden[at][:_GOLDEN_WRITTEN]).strip()}],
            tokens={path: answer.golden[at][:_GOLDEN_WRITTEN] for path, answer in self._answers.items()},
        )


def _cost(found: Shortlisted) -> str | None:
    """What a shortlist loses, in words, if it is too much, or None."""
    for way in found.ways:
        lost = way.whole_bleu - way.bleu
        if lost > _MOST_LOST:
            how = "greedily" if way.num_beams == 1 else f"with {way.num_beams} beams"
            return (
                f"held to {found.candidates:.0f} of {found.vocabulary} tokens {found.rows - way.equal} of "
                f"{found.rows} translations of {found.data} differ {how}, and {_METRIC} is {way.bleu:.2f}, not "
                f"{way.whole_bleu:.2f}: {lost:.2f} points lost, at most {_MOST_LOST} are allowed; give --shortlist "
                f"more pairs than {found.pairs}, or leave it out"
            )
    return None


def manner_of(directory: Path, most: int) -> Manner:
    """How the model in a directory writes, at most so many tokens; with four beams where it asks for none."""
    rules, search = translation_defaults(directory, most)
    return Manner(
        start=rules.start,
        ends=tuple(sorted(rules.ends)),
        banned=rules.banned,
        forced=rules.forced,
        renormalize=rules.renormalize,
        num_beams=search.num_beams if search.num_beams > 1 else _BEAMS,
        length_penalty=search.length_penalty,
        early_stopping=search.early_stopping,
        most=most,
    )


def _texts() -> Iterator[str]:
    """Sentences of prose, and the odd texts."""
    read = resources.files("edgewright.proof").joinpath
    prose: dict[str, str] = json.loads(read("gate_prose.json").read_text(encoding="utf-8"))
    every = [one.strip() for text in prose.values() for line in text.splitlines() for one in sentences(line)]
    yield from [one for one in every if one][:_PROSE]
    cases = json.loads(read("gate_texts.json").read_text(encoding="utf-8"))["texts"]
    wanted = [
        text
        for case in cases
        if case["name"] in ("one token", "emoji", "other scripts", "odd")
        for text in case["texts"]
    ]
    yield from wanted[:_ODD]


def _filled(every: list[tuple[int, ...]], length: int) -> tuple[int, ...]:
    """A source that fills the model: the tokens of all texts, cut, with the end of one."""
    body = [token for ids in every for token in ids[:-1]]
    return (*(body * (length // max(1, len(body)) + 1))[: length - 1], every[0][-1])


def _decoding(answer: TranslatedAnswer, eager: EagerTranslation, longest: int, written: int) -> Decoding:
    pairs = [
        *(
            _apart(ours, theirs, margins)
            for ours, theirs, margins in zip(answer.greedy, eager.greedy, eager.margins, strict=True)
        ),
        *_searched(answer, eager),
    ]
    others = [pair for pair in pairs if pair]
    first, margin = min(others, default=(None, None))
    return Decoding(
        tokens=answer.tokens,
        context=longest,
        perplexity=float(f"{exp_of(answer.nll):.5g}"),
        reference=float(f"{exp_of(answer.eager_nll):.5g}"),
        kl=float(f"{answer.kl:.3g}"),
        top1=float(f"{answer.top1:.4g}"),
        prompts=len(pairs),
        written=written,
        equal=len(pairs) - len(others),
        first_difference=first,
        margin=None if margin is None else float(f"{max(m for _, m in others) / answer.rms:.3g}"),
        ways=tuple(sorted(answer.ways)),
    )


def _apart(ours: tuple[int, ...], theirs: tuple[int, ...], margins: tuple[float, ...]) -> tuple[int, float] | None:
    """Where two translations part, and how far apart the eager model's two likeliest logits were there."""
    if ours == theirs:
        return None
    at = next((at for at, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    return at, margins[at] if at < len(margins) else math.inf


def _searched(answer: TranslatedAnswer, eager: EagerTranslation) -> Iterator[tuple[int, float] | None]:
    """The same of searches: two texts are tied where their scores are."""
    for ours, theirs, a, b in zip(answer.searched, eager.searched, answer.scores, eager.scores, strict=True):
        parted = _apart(ours, theirs, ())
        yield None if parted is None else (parted[0], max(TIE, abs(a - b)))
