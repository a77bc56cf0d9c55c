"""The proof of a decoder: what its artifacts are asked to predict and to write, and the verdict."""

from __future__ import annotations

import json
import math
from importlib import resources
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgewright.bundle.manifest import Decoding, Golden, GoldenCase, Parity, Score
from edgewright.errors import GateFailed, SourceError, quoted
from edgewright.generation.chat_template import ChatTemplate
from edgewright.inference.engines import engine_for
from edgewright.model.decoding import ARTIFACT, EAGER, ArtifactRequest, EagerRequest, Texts
from edgewright.model.eager import ask_in
from edgewright.proof.decoder_limits import DECODER_LIMITS
from edgewright.proof.held import Held
from edgewright.system.limits import allowed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgewright.contracts.precision import Precision
    from edgewright.model.decoding import ArtifactAnswer, EagerAnswer
    from edgewright.model.source import Source
    from edgewright.proof.decoder_limits import DecoderLimit
    from edgewright.system.jobs import Jobs

__all__ = ["TIE", "DecoderProof", "batch_of", "broken", "exp_of", "parity_of"]

_TAUGHT = 1024
"""Tokens of the longest text: wrong angles show beyond half of a context, and eager attention's memory grows by the
square."""
_LEAST = 2000
"""Tokens to predict, of two kinds of text: the share of equal successors is then known to a percent."""
_PROMPTED = 512
"""The context that the lengths of the prompts are parts of."""
_PARTS = (0.5, 0.9)
"""Prompts of these parts of it, beside those of 1 and 17 tokens: angles, windows and masks differ by length."""
_EACH = 5
"""Prompts of a length: twenty in all."""
_WRITTEN = 64
"""Tokens after each prompt: a choice, some sentences; fewer where the context is full before."""
TIE = 1e-3
"""Two logits are tied within so much of the root mean square of all: what fp32 arithmetic in another order moves."""
_GOLDEN = ("The capital of France is", "Once upon a time there was a", "def main():", "Q: Why is the sky blue?\nA:")
"""Prompts of golden cases: a fact, a story, code, a question."""
_CHAT = "What's the way to the river? <b>Tell me</b> in one line."
"""What a person says to a model with a chat template: quotes and brackets that a template might escape."""
_CALIBRATED = 16
"""Pieces of the texts that a precision may measure activations on."""


class DecoderProof:
    """The texts of a decoder's gate, with what the eager model predicts and writes.

    Attributes:
        example: one batch, as exporters take it.
        calibration: pieces of the texts, each int64 (1, length).
        settings: the source's.
        parameters: the number of the model's weights.
    """

    def __init__(self, source: Source, jobs: Jobs) -> None:
        self._tokenizer, self._jobs = source.tokenizer(), jobs
        self.settings = source.settings
        self._context = source.settings.max_length
        stored = json.loads(resources.files("edgewright.proof").joinpath("gate_prose.json").read_text(encoding="utf-8"))
        streams = [self._tokenizer.ids(text) for text in stored.values()]
        self._texts = Texts(tuple(self._taught(streams)), tuple(self._prompts(streams)), _WRITTEN)
        self._golden = [tuple(self._tokenizer.ids(text)) for text in _GOLDEN]
        if not all(self._golden):
            raise SourceError(f"the tokenizer of {source.directory} makes no token of {_GOLDEN[0]!r}")
        self._logits = jobs.scratch / "logits.npy"
        request = EagerRequest(
            source=source.job(),
            threads=allowed().threads,
            texts=self._texts,
            context=self._context,
            logits=self._logits,
            words=(*_GOLDEN, *stored.values()),
            chat=_CHAT,
        )
        self._eager, _ = ask_in(jobs, EAGER, request)
        self.parameters = self._eager.parameters
        self._check_tokens(source.directory, request.words)
        self.outside: str | None = f"{self._eager.library} on {len(self._eager.words)} texts"
        self._answers: dict[str, ArtifactAnswer] = {}

    def _check_tokens(self, directory: Path, texts: Sequence[str]) -> None:
        """Raise GateFailed where transformers makes other tokens of a text, or of a conversation, than edgewright."""
        ours = [tuple(self._tokenizer.ids(text)) for text in texts]
        pairs = list(zip(map(quoted, texts), ours, self._eager.words, strict=True))
        if self._eager.chat:
            turn = ChatTemplate(directory).encode(self._tokenizer, [{"role": "user", "content": _CHAT}])
            pairs.append(("a conversation", tuple(turn), self._eager.chat))
        for what, found, wanted in pairs:
            if found != wanted:
                at = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), len(found))
                made = f"{self._eager.library} makes {len(wanted)} tokens of {what}, edgewright {len(found)}"
                raise GateFailed(f"{made}, first difference at {at}", hint="does tokenizer.json say it all?")

    def _taught(self, streams: list[list[int]]) -> list[tuple[int, ...]]:
        """Pieces of each text in turn, the first as long as may be, until there are tokens enough."""
        longest = min(self._context, _TAUGHT)
        pieces = [tuple(ids[at : at + longest]) for at in range(0, _LEAST, longest) for ids in streams]
        kept: list[tuple[int, ...]] = []
        for piece in pieces:
            if len(piece) > 1 and sum(len(one) - 1 for one in kept) < _LEAST:
                kept.append(piece)
        return kept

    def _prompts(self, streams: list[list[int]]) -> list[tuple[int, ...]]:
        """Five prompts of each length, from different places of the texts."""
        context = min(self._context, _PROMPTED)
        lengths = sorted({min(length, context - 1) for length in (1, 17, *(int(context * part) for part in _PARTS))})
        found = []
        for length in lengths:
            for at in range(_EACH):
                ids = streams[at % len(streams)]
                begin = at * max(1, (len(ids) - length) // _EACH)
                found.append(tuple(ids[begin : begin + length]))
        return found

    @property
    def example(self) -> dict[str, NDArray[np.int64]]:
        """Two rows of an odd length."""
        return batch_of([self._texts.taught[0][:9], self._texts.taught[1][:9]])

    @property
    def calibration(self) -> list[dict[str, NDArray[np.int64]]]:
        """Pieces of 128 tokens, from the texts in turn."""
        pieces = [ids[at : at + 128] for at in range(0, _TAUGHT, 128) for ids in self._texts.taught[:2]]
        return [batch_of([piece]) for piece in pieces if piece][:_CALIBRATED]

    def held(self, name: str, precision: Precision, path: Path, *, allow_divergence: bool) -> Held:
        """Decode with an artifact, and judge it.

        Raises:
            GateFailed: a limit of `precision` is broken; with `allow_divergence` the parity record says it instead.
        """
        engine = engine_for(name)
        request = ArtifactRequest(
            name=f"{name} {precision}",
            engine=engine.engine,
            artifact=path,
            context=self._context,
            texts=self._texts,
            logits=self._logits,
            golden=tuple(self._golden),
        )
        answer = self._jobs.run(ARTIFACT, request, preload=engine.preload)
        decoding = _decoding(answer, self._eager, self._texts)
        limit = DECODER_LIMITS[precision]
        failed = broken(answer, decoding, limit)
        if failed and not allow_divergence:
            raise GateFailed(failed, hint="--allow-divergence keeps it and records the failure")
        self._answers[f"{path.parent.name}/{path.name}"] = answer
        score = Score("perplexity", decoding.perplexity, decoding.tokens, "the gate's texts", decoding.reference)
        return Held(answer.inputs, answer.outputs, replace(parity_of(answer), diverged=failed), score, decoding)

    def golden(self) -> Golden:
        """A golden case for each golden prompt: the logits after it and the tokens that each artifact writes."""
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
            answer=[{"generated_text": text + self._tokenizer.decode(first.golden[at])}],
            tokens={path: answer.golden[at] for path, answer in self._answers.items()},
        )


def batch_of(rows: list[tuple[int, ...]]) -> dict[str, NDArray[np.int64]]:
    """Rows of token ids of one length, as exporters take them."""
    import numpy as np

    ids = np.array(rows, np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def parity_of(answer: ArtifactAnswer) -> Parity:
    """The errors of the logits, for the manifest."""
    return Parity(
        texts=answer.tokens,
        max_abs=float(f"{answer.max_abs:.4g}"),
        mean_abs=float(f"{answer.mean_abs:.4g}"),
        sqnr_db=float(f"{answer.sqnr_db:.4g}"),
        cosine=float(f"{answer.cosine:.7g}"),
        top1=float(f"{answer.top1:.4g}"),
        worst_case=f"text {answer.worst_text}",
    )


def _decoding(answer: ArtifactAnswer, eager: EagerAnswer, texts: Texts) -> Decoding:
    first, margin, equal = None, None, 0
    for ours, theirs, margins in zip(answer.greedy, eager.greedy, eager.margins, strict=True):
        if len(ours) != len(theirs):
            what = f"it wrote {len(ours)} tokens after a prompt, the eager model {len(theirs)}"
            raise GateFailed(what, hint="it should stop where the context is full")
        at = next((at for at, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b), None)
        equal += at is None
        if at is not None and (first is None or at < first):
            first, margin = at, margins[at] / answer.rms
    return Decoding(
        tokens=answer.tokens,
        context=max(map(len, texts.taught)),
        perplexity=float(f"{exp_of(answer.nll):.5g}"),
        reference=float(f"{exp_of(answer.eager_nll):.5g}"),
        kl=float(f"{answer.kl:.3g}"),
        top1=float(f"{answer.top1:.4g}"),
        prompts=len(texts.prompts),
        written=texts.written,
        equal=equal,
        first_difference=first,
        margin=None if margin is None else float(f"{margin:.3g}"),
        ways=tuple(sorted(answer.ways)),
    )


_MOST_NLL = 700.0
"""exp of more is no float any more."""


def exp_of(nll: float) -> float:
    """The perplexity of a mean negative log likelihood."""
    return math.exp(min(nll, _MOST_NLL))


def broken(answer: ArtifactAnswer, decoding: Decoding, limit: DecoderLimit) -> str | None:
    """The first broken limit in words with both numbers, or None."""
    most = decoding.reference * (1 + limit.perplexity)
    worst = min(answer.ways, key=lambda way: answer.ways[way]) if answer.ways else ""
    checks = (
        ("perplexity", decoding.perplexity, "at most", most),
        ("divergence from the eager model in nats", answer.kl, "at most", limit.kl),
        ("share of equal successors", answer.top1, "at least", limit.top1),
        (f"SQNR in dB with a cache that was {worst}", answer.ways.get(worst, math.inf), "at least", limit.way_db),
    )
    for name, value, side, bound in checks:
        if not (value <= bound if side == "at most" else value >= bound):  # a NaN breaks every limit
            return f"{name} is {value:.6g}, {side} {bound:.6g} is wanted"
    if limit.exact and decoding.margin is not None and decoding.margin > TIE:
        what = f"{decoding.prompts - decoding.equal} of {decoding.prompts} prompts are continued otherwise than by the"
        return f"{what} eager model, first at token {decoding.first_difference} with a margin of {decoding.margin:.3g}"
    return None
