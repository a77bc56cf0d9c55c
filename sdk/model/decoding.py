"""The eager decoder in a child of its own, and an artifact beside it: what both are asked about decoding."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - msgspec reads annotations

from msgspec import Struct

from edgewright.bundle.manifest import TensorSpec  # noqa: TC001 - msgspec reads annotations
from edgewright.model.eager import Look
from edgewright.system.child import Child

__all__ = [
    "ARTIFACT",
    "EAGER",
    "WRITE",
    "ArtifactAnswer",
    "ArtifactRequest",
    "EagerAnswer",
    "EagerRequest",
    "Texts",
    "WriteAnswer",
    "WriteRequest",
]


class Texts(Struct, frozen=True):
    """Token ids to decode.

    Attributes:
        taught: texts whose every token is predicted from the true ones before it.
        prompts: what greedy tokens are written after.
        written: how many of them for each prompt, fewer where the context is full before.
    """

    taught: tuple[tuple[int, ...], ...]
    prompts: tuple[tuple[int, ...], ...]
    written: int


class EagerRequest(Look, frozen=True, kw_only=True):
    """Write the logits of the taught texts, one after the other, float32 (tokens, vocabulary), to `logits`.

    Attributes:
        context: the most tokens that the model reads.
        words: texts, to be tokenized as transformers does it.
        chat: what a person says in a conversation, for a model with a chat template.
    """

    texts: Texts
    context: int
    logits: Path
    words: tuple[str, ...] = ()
    chat: str = ""


class EagerAnswer(Struct, frozen=True):
    """The number of weights, the greedy tokens of each prompt, and how far apart the two likeliest logits were.

    Attributes:
        words: the token ids of `EagerRequest.words`.
        chat: those of the conversation, () where the tokenizer has no template.
        library: what told them.
    """

    parameters: int
    greedy: tuple[tuple[int, ...], ...]
    margins: tuple[tuple[float, ...], ...]
    words: tuple[tuple[int, ...], ...]
    chat: tuple[int, ...]
    library: str


EAGER = Child("edgewright.converters._model.decoding:eager", EagerRequest, EagerAnswer)


class ArtifactRequest(Struct, frozen=True, kw_only=True):
    """Decode the same with an artifact, and hold it against the eager model's logits.

    Attributes:
        name: what to call it in phrases of progress.
        logits: the file of the eager model's.
        golden: prompts of golden cases, see `edgewright.proof.decoding`.
    """

    name: str
    engine: str
    artifact: Path
    context: int
    texts: Texts
    logits: Path
    golden: tuple[tuple[int, ...], ...]


class ArtifactAnswer(Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        tokens: predicted ones.
        nll: their mean negative log likelihood; `eager_nll` by the eager model.
        kl: the mean divergence from the eager model, in nats.
        top1: the share of equal likeliest successors.
        max_abs: of the logits' errors; `mean_abs`, `sqnr_db` and the smallest `cosine` of a text go with it.
        rms: of the eager model's logits.
        greedy: the tokens of each prompt.
        ways: the SQNR in dB of the logits after each other way to fill the cache.
        samples: of each golden prompt the logits that a golden case keeps.
        golden: of each golden prompt the greedy tokens.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    tokens: int
    nll: float
    eager_nll: float
    kl: float
    top1: float
    max_abs: float
    mean_abs: float
    sqnr_db: float
    cosine: float
    worst_text: int
    rms: float
    greedy: tuple[tuple[int, ...], ...]
    ways: dict[str, float]
    samples: tuple[tuple[float, ...], ...]
    golden: tuple[tuple[int, ...], ...]


ARTIFACT = Child("edgewright.proof.decoding_artifact:artifact", ArtifactRequest, ArtifactAnswer)


class WriteRequest(Struct, frozen=True, kw_only=True):
    """Write after the prompts of golden cases: `counts` tokens after each."""

    name: str
    engine: str
    artifact: Path
    context: int
    prompts: tuple[tuple[int, ...], ...]
    counts: tuple[int, ...]


class WriteAnswer(Struct, frozen=True):
    """Of each prompt the logits that a golden case keeps, and the greedy tokens."""

    samples: tuple[tuple[float, ...], ...]
    tokens: tuple[tuple[int, ...], ...]


WRITE = Child("edgewright.proof.decoding_artifact:write", WriteRequest, WriteAnswer)
