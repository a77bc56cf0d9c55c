"""An artifact that decodes, held against the eager model's logits, in a child: token by token, and chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright import registry
from edgewright.generation.session import CacheSession
from edgewright.inference.golden import sample
from edgewright.model.decoding import ArtifactAnswer, WriteAnswer
from edgewright.statistics.signal import sqnr_db

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edgewright.contracts.decoder import Decoder
    from edgewright.model.decoding import ArtifactRequest, WriteRequest

__all__ = ["Sums", "artifact", "greedy", "write", "written_by"]

_ROWS = 32
"""Tokens whose logits are compared at once: some MiB of the largest vocabularies."""
_GOLDEN_TOKENS = 16
"""Written after each golden prompt: a choice, a sentence."""
_ODD_CHUNK = 7
"""Tokens of a chunk where the cache is filled in chunks: it divides no length that anybody chose."""


def artifact(request: ArtifactRequest, progress: Callable[[str], None]) -> ArtifactAnswer:
    """Decode the texts with the artifact, on one thread, and compare."""
    runtime = registry.load("runtimes", request.engine)()

    def opened() -> Decoder:
        decoder: Decoder = runtime.open_decoder(request.artifact, threads=1, context=request.context)
        return decoder

    decoder, texts = opened(), request.texts
    progress(f"{request.name}: gate, {sum(map(len, texts.taught))} tokens")
    sums = Sums()
    eager = np.load(request.logits, mmap_mode="r")
    at = 0
    for number, ids in enumerate(texts.taught):
        decoder.rewind(0)
        sums.text(number, ids, _taught(decoder, ids), eager[at : at + len(ids)])
        at += len(ids)
    progress(f"{request.name}: gate, {len(texts.prompts)} prompts")
    session = CacheSession(decoder)
    tokens = tuple(greedy(session, prompt, texts.written)[1] for prompt in texts.prompts)
    ways = _ways(decoder, opened, max(texts.prompts, key=len))
    golden = [greedy(session, prompt, _GOLDEN_TOKENS) for prompt in request.golden]
    return ArtifactAnswer(
        inputs=decoder.inputs,
        outputs=decoder.outputs,
        **sums.answer(),
        greedy=tokens,
        ways=ways,
        samples=tuple(tuple(sample(logits).tolist()) for logits, _ in golden),
        golden=tuple(ids for _, ids in golden),
    )


def write(request: WriteRequest, progress: Callable[[str], None]) -> WriteAnswer:
    """Write greedy tokens after the prompts, on one thread, as they were recorded."""
    decoder = registry.load("runtimes", request.engine)().open_decoder(
        request.artifact, threads=1, context=request.context
    )
    progress(f"{request.name}: {len(request.prompts)} golden prompts")
    return written_by(decoder, request.prompts, request.counts)


def written_by(decoder: Decoder, prompts: Sequence[Sequence[int]], counts: Sequence[int]) -> WriteAnswer:
    """What a decoder writes after golden prompts, so many tokens after each."""
    session = CacheSession(decoder)
    found = [greedy(session, ids, count) for ids, count in zip(prompts, counts, strict=True)]
    return WriteAnswer(
        samples=tuple(tuple(sample(logits).tolist()) for logits, _ in found), tokens=tuple(ids for _, ids in found)
    )


def greedy(session: CacheSession, prompt: Sequence[int], count: int) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    """The logits after a prompt, and the likeliest tokens from there on, at most as many as the context holds."""
    session.rewind(0)
    logits = session.prompt(prompt)
    first, tokens = logits.copy(), [int(logits.argmax())]
    while len(tokens) < count and session.room > 0:
        tokens.append(int(session.step(tokens[-1]).argmax()))
    return first, tuple(tokens)


def _taught(decoder: Decoder, ids: Sequence[int]) -> Iterator[NDArray[np.float32]]:
    """Logits of all tokens, some rows at a time: the first half read in chunks, the second token by token.

    Engines have other kernels for one row than for many: both must be right.
    """
    half = len(ids) // 2
    for at in range(0, half, _ROWS):
        chunk = ids[at : min(at + _ROWS, half)]
        yield decoder.read(chunk, kept=len(chunk))
    for token in ids[half:]:
        yield decoder.read([token])


@dataclass
class Sums:
    """What is added up over all tokens."""

    tokens: int = 0
    nll: float = 0.0
    eager_nll: float = 0.0
    kl: float = 0.0
    same: int = 0
    rows: int = 0
    count: int = 0
    worst: float = 0.0
    absolute: float = 0.0
    noise: float = 0.0
    signal: float = 0.0
    cosine: float = 1.0
    worst_text: int = 0

    def text(
        self, number: int, ids: Sequence[int], ours: Iterator[NDArray[np.float32]], eager: NDArray[np.float32]
    ) -> None:
        """Add a text: its token ids, our logits some rows at a time, the eager model's (tokens, vocabulary)."""
        at, dot, mine, theirs = 0, 0.0, 0.0, 0.0
        for rows in ours:
            got, want = rows.astype(np.float64), eager[at : at + len(rows)].astype(np.float64)
            error = got - want
            self._errors(error, want)
            dot, mine, theirs = dot + (got * want).sum(), mine + (got * got).sum(), theirs + (want * want).sum()
            self._predicted(ids, at, _log_shares(got), _log_shares(want))
            at += len(rows)
        cosine = float(dot / np.sqrt(mine * theirs)) if mine > 0 and theirs > 0 and np.isfinite(mine) else 0.0
        if cosine < self.cosine:
            self.cosine, self.worst_text = cosine, number

    def _errors(self, error: NDArray[np.float64], want: NDArray[np.float64]) -> None:
        finite = bool(np.isfinite(error).all())
        self.worst = max(self.worst, float(np.abs(error).max())) if finite else float(np.finfo(np.float32).max)
        self.absolute += float(np.abs(error).sum())
        self.noise += float((error * error).sum())
        self.signal += float((want * want).sum())
        self.count += error.size

    def _predicted(self, ids: Sequence[int], at: int, ours: NDArray[np.float64], eager: NDArray[np.float64]) -> None:
        """Log probabilities of the rows from token `at` on: each predicts the token after it."""
        self.same += int((ours.argmax(1) == eager.argmax(1)).sum())
        self.kl += float((np.exp(eager) * (eager - ours)).sum())
        self.rows += len(ours)
        follows = np.array(ids[at + 1 : at + 1 + len(ours)], np.int64)
        rows = np.arange(len(follows))
        self.nll -= float(ours[rows, follows].sum())
        self.eager_nll -= float(eager[rows, follows].sum())
        self.tokens += len(follows)

    def answer(self) -> dict[str, Any]:
        """The means, by the names of `ArtifactAnswer`."""
        noise = np.array([np.sqrt(self.noise / self.count)])
        signal = np.array([np.sqrt(self.signal / self.count)])
        return {
            "tokens": self.tokens,
            "nll": self.nll / self.tokens,
            "eager_nll": self.eager_nll / self.tokens,
            "kl": self.kl / self.rows,
            "top1": self.same / self.rows,
            "max_abs": self.worst,
            "mean_abs": self.absolute / self.count,
            "sqnr_db": sqnr_db(signal, noise),
            "cosine": self.cosine,
            "worst_text": self.worst_text,
            "rms": float(signal[0]),
        }


def _log_shares(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log probabilities of each row."""
    above = logits - logits.max(1, keepdims=True)
    found: NDArray[np.float64] = above - np.log(np.exp(above).sum(1, keepdims=True))
    return found


def _ways(decoder: Decoder, opened: Callable[[], Decoder], prompt: Sequence[int]) -> dict[str, float]:
    """The certificate of the cache: SQNR of the logits after a prompt that was read in another way than at once."""
    cold, half, found = _at_once(decoder, prompt), len(prompt) // 2, {}
    decoder.rewind(0)
    found["chunked"] = CacheSession(decoder, chunk=_ODD_CHUNK).prompt(prompt).astype(np.float64)
    if half:
        decoder.rewind(0)
        session = CacheSession(decoder)
        session.prompt(prompt[:half])
        session.prompt([*prompt[:half], *reversed(prompt[half:])])
        found["cached"] = session.prompt(prompt).astype(np.float64)
        session.rewind(half)
        resumed = opened()
        resumed.restore(decoder.keys_and_values(), half)
        found["resumed"] = resumed.read(prompt[half:])[-1].astype(np.float64)
        resumed.close()
    return {way: float(sqnr_db(cold, logits - cold)) for way, logits in found.items()}


def _at_once(decoder: Decoder, prompt: Sequence[int]) -> NDArray[np.float64]:
    decoder.rewind(0)
    found: NDArray[np.float64] = decoder.read(prompt)[-1].astype(np.float64)
    return found
