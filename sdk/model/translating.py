"""The eager encoder-decoder in a child of its own, and an artifact beside it: what both are asked to translate."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - msgspec reads annotations

from msgspec import Struct

from edgewright.bundle.manifest import Narrowed, Score, Settings
from edgewright.model.decoding import ArtifactAnswer, WriteAnswer
from edgewright.model.eager import Look
from edgewright.model.source import SourceJob  # noqa: TC001 - msgspec reads annotations
from edgewright.system.child import Child

__all__ = [
    "NARROWED",
    "ROWS",
    "TABLE",
    "TRANSLATE",
    "TRANSLATED",
    "TRANSLATED_AGAIN",
    "AgainRequest",
    "EagerTranslation",
    "Manner",
    "NarrowAnswer",
    "NarrowRequest",
    "RowsRequest",
    "TableAnswer",
    "TableRequest",
    "TranslatedAnswer",
    "TranslatedRequest",
    "TranslationRequest",
]


class Manner(Struct, frozen=True, kw_only=True):
    """How texts are looked for: `edgewright.generation.beams.Search` and `Rules`, as a child is told them."""

    start: int
    ends: tuple[int, ...]
    banned: tuple[int, ...] = ()
    forced: int | None = None
    renormalize: bool = False
    num_beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    most: int = 1


class TranslationRequest(Look, frozen=True, kw_only=True):
    """Translate sources as transformers does: all of them greedily, the first `searched` with beams as well.

    Attributes:
        sources: token ids.
        manner: of the search with beams; `most` holds for the greedy ones too.
        logits: the file for the logits of every greedy token, one text after the other, float32 (tokens, vocabulary).
        words: texts, to be tokenized as transformers does it.
    """

    sources: tuple[tuple[int, ...], ...]
    searched: int
    manner: Manner
    logits: Path
    words: tuple[str, ...] = ()


class EagerTranslation(Struct, frozen=True):
    """What came of it.

    Attributes:
        greedy: the tokens after each source, their end among them; `margins` how far apart the two likeliest logits of
            each were.
        searched: the tokens that the search found; `scores` what it scored them.
        words: the token ids of the words.
        said: the text of each greedy translation.
        library: what told them.
        vocabulary: how many tokens the model chooses from.
    """

    parameters: int
    greedy: tuple[tuple[int, ...], ...]
    margins: tuple[tuple[float, ...], ...]
    searched: tuple[tuple[int, ...], ...]
    scores: tuple[float, ...]
    words: tuple[tuple[int, ...], ...]
    said: tuple[str, ...]
    library: str
    vocabulary: int


TRANSLATE = Child("edgewright.converters._model.translating:translate", TranslationRequest, EagerTranslation)


class TranslatedRequest(Struct, frozen=True, kw_only=True):
    """Translate the same with an artifact, and hold it against the eager model's logits.

    Attributes:
        name: what to call it in phrases of progress.
        targets: the eager model's greedy translations, of which every token is predicted from those before it.
        golden: sources of golden cases.
    """

    name: str
    engine: str
    artifact: Path
    context: int
    sources: tuple[tuple[int, ...], ...]
    targets: tuple[tuple[int, ...], ...]
    searched: int
    manner: Manner
    logits: Path
    golden: tuple[tuple[int, ...], ...]


class TranslatedAnswer(ArtifactAnswer, frozen=True, kw_only=True):
    """As of any decoder; `searched` are the tokens of the search with beams, `scores` theirs."""

    searched: tuple[tuple[int, ...], ...]
    scores: tuple[float, ...]


TRANSLATED = Child("edgewright.proof.translating_artifact:translated", TranslatedRequest, TranslatedAnswer)


class TableRequest(Struct, frozen=True, kw_only=True):
    """Learn the table of a shortlist from sentence pairs.

    Attributes:
        pairs: the file of them.
        vocabulary: how many tokens the model has.
        out: where the table shall lie.
    """

    source: SourceJob
    pairs: Path
    vocabulary: int
    out: Path


class TableAnswer(Struct, frozen=True):
    """From how many pairs it was learnt, and how many were left out for want of room."""

    pairs: int
    left: int


TABLE = Child("edgewright.converters._model.shortlist:table", TableRequest, TableAnswer)


class NarrowRequest(Struct, frozen=True, kw_only=True):
    """Translate labelled rows with an artifact, held to the shortlist of its bundle and not.

    Attributes:
        name: what to call it in phrases of progress.
        directory: of the source's tokenizer.
        shortlist: the table's file.
        most: rows.
        num_beams: of the search that is tried beside the greedy one.
    """

    name: str
    engine: str
    artifact: Path
    directory: Path
    settings: Settings
    shortlist: Path
    data: Path
    most: int
    num_beams: int


class NarrowAnswer(Struct, frozen=True):
    """What the manifest says of it."""

    candidates: float
    vocabulary: int
    rows: int
    ways: tuple[Narrowed, ...]


NARROWED = Child("edgewright.proof.translating_artifact:narrowed", NarrowRequest, NarrowAnswer)


class RowsRequest(Struct, frozen=True, kw_only=True):
    """Score an artifact on labelled rows.

    Attributes:
        directory: of the source's tokenizer and generation_config.json.
        metric: its name.
    """

    name: str
    engine: str
    artifact: Path
    directory: Path
    settings: Settings
    data: Path
    metric: str


ROWS = Child("edgewright.proof.translating_artifact:rows", RowsRequest, Score)


class AgainRequest(Struct, frozen=True, kw_only=True):
    """Translate the sources of golden cases greedily: at most `manner.most` tokens of each."""

    name: str
    engine: str
    artifact: Path
    context: int
    sources: tuple[tuple[int, ...], ...]
    manner: Manner


TRANSLATED_AGAIN = Child("edgewright.proof.translating_artifact:again", AgainRequest, WriteAnswer)
