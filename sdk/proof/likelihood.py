"""How likely a decoder finds texts that it has not seen: perplexity, bits per byte, and a cloze test of endings.

- `perplexity`: the exponential of the mean negative log-likelihood of a token, in the tokenizer's own tokens.
- `bits_per_byte`: the same in bits for each byte of the text, which tokenizers do not change (Gao et al. 2020,
  arXiv 2101.00027, section 3.1).
- `cloze`: the share of rows whose right ending is the likeliest of several for its length in bytes (the test of
  Mostafazadeh et al. 2016, arXiv 1604.01696; `acc_norm` of lm-evaluation-harness). A row has `text`, `endings` and
  `label`, the number of the right one.

The first token of a document has nothing before it and is not counted. A document that is longer than the context is
read in pieces, each of which begins with the last token of the one before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from edgewright.data import rows as data
from edgewright.data.text_documents import Documents
from edgewright.errors import DataError, UsageError, quoted
from edgewright.model.eager import Look
from edgewright.statistics import metrics
from edgewright.system.child import Child

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgewright.contracts.decoder import Decoder
    from edgewright.statistics.metrics import Metric
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["LIKELIHOOD", "HeldOut", "LikelihoodAnswer", "LikelihoodRequest", "Span", "held_out", "losses_of"]

_METRICS = ("perplexity", "bits_per_byte", "cloze")
_ROWS = 32
"""Tokens whose logits are looked at at once: some MiB of the largest vocabularies."""


class Span(Struct, frozen=True):
    """Token ids, and the place of the first one that is predicted; at least 1."""

    ids: tuple[int, ...]
    begin: int


class LikelihoodRequest(Look, frozen=True, kw_only=True):
    """Ask an eager decoder for the losses of spans."""

    spans: tuple[Span, ...]


class LikelihoodAnswer(Struct, frozen=True):
    """Of each span the sum of its predicted tokens' negative log-likelihoods, in nats."""

    losses: tuple[float, ...]


LIKELIHOOD = Child("edgewright.converters._model.decoding:likelihood", LikelihoodRequest, LikelihoodAnswer)


@dataclass(frozen=True)
class HeldOut:
    """What a decoder is asked, and what its losses come to.

    Attributes:
        names: the metrics.
        spans: every one of them.
        owners: the row of each span; in a cloze test its row and its ending.
        n: rows.
        tokens: that are predicted of each row.
        text_bytes: that these stand for; in a cloze test of each ending.
        right: the right ending of each row of a cloze test.
    """

    names: tuple[str, ...]
    spans: tuple[Span, ...]
    owners: tuple[tuple[int, int], ...]
    n: int
    tokens: tuple[int, ...] = ()
    text_bytes: tuple[int, ...] = ()
    right: tuple[int, ...] = ()

    def measured(self, losses: Sequence[float]) -> dict[str, Metric]:
        """The metrics of a loss for each span."""
        if self.right:
            return {"cloze": metrics.mean([float(found == label) for found, label in self._chosen(losses)])}
        sums = np.zeros(self.n)
        np.add.at(sums, [row for row, _ in self.owners], losses)
        every = {
            "perplexity": metrics.perplexity(sums, self.tokens),
            "bits_per_byte": metrics.rate(sums / math.log(2), self.text_bytes),
        }
        return {name: every[name] for name in self.names}

    def _chosen(self, losses: Sequence[float]) -> list[tuple[int, int]]:
        """The likeliest ending of each row, and the right one."""
        rows: list[list[float]] = [[] for _ in range(self.n)]
        for (row, _), loss, size in zip(self.owners, losses, self.text_bytes, strict=True):
            rows[row].append(loss / size)
        return [(found.index(min(found)), label) for found, label in zip(rows, self.right, strict=True)]


def held_out(path: Path, names: Sequence[str], tokenizer: Tokenizer, context: int) -> HeldOut:
    """Texts, or the rows of a cloze test, as spans of tokens.

    Args:
        path: text, or a table with the column `text`.
        names: metrics; without one perplexity and bits per byte.
        tokenizer: the decoder's.
        context: the most tokens that it reads.

    Raises:
        UsageError: no such metric, or a cloze test beside others.
        DataError: no text, or rows without endings.
    """
    wanted = tuple(dict.fromkeys(names)) or _METRICS[:2]
    unknown = [name for name in wanted if name not in _METRICS]
    if unknown:
        raise UsageError(f"text-generation has no metric {unknown[0]}", hint=f"choose from {', '.join(_METRICS)}")
    if "cloze" not in wanted:
        return _texts(path, wanted, tokenizer, context)
    if len(wanted) > 1:
        raise UsageError("a cloze test reads other rows than the other metrics", hint="ask for cloze alone")
    return _cloze(path, tokenizer, context)


def _texts(path: Path, names: tuple[str, ...], tokenizer: Tokenizer, context: int) -> HeldOut:
    spans: list[Span] = []
    owners: list[tuple[int, int]] = []
    tokens: list[int] = []
    sizes: list[int] = []
    for piece in Documents.of([path]):
        ids = tokenizer.ids(piece.text, special=False, literal=True)
        if len(ids) < 2:
            continue
        spans += [Span(tuple(ids[at : at + context]), 1) for at in range(0, len(ids) - 1, context - 1)]
        owners += [(len(tokens), 0)] * (len(spans) - len(owners))
        tokens.append(len(ids) - 1)
        sizes.append(len(piece.text.encode()) - len(tokenizer.decode(ids[:1]).encode()))
    if not tokens:
        raise DataError(f"{path} holds no text of two tokens", hint="give text, or rows with the column text")
    return HeldOut(names, tuple(spans), tuple(owners), len(tokens), tuple(tokens), tuple(sizes))


def _cloze(path: Path, tokenizer: Tokenizer, context: int) -> HeldOut:
    spans: list[Span] = []
    owners: list[tuple[int, int]] = []
    right: list[int] = []
    sizes: list[int] = []
    for number, row in data.rows(path):
        text, endings, label = row.get("text"), row.get("endings"), row.get("label")
        if (
            not isinstance(text, str)
            or not isinstance(endings, list)
            or not all(isinstance(e, str) and e for e in endings)
        ):
            raise DataError(f"row {number} of {path} is none of a cloze test", hint="it needs text, endings and label")
        if not isinstance(label, int) or not 0 <= label < len(endings):
            raise DataError(f"row {number} of {path} has {len(endings)} endings and the label {label!r}")
        for at, ending in enumerate(endings):
            spans.append(_ended(text, ending, tokenizer, context, f"row {number} of {path}"))
            owners.append((len(right), at))
            sizes.append(len(ending.encode()))
        right.append(label)
    if not right:
        raise DataError(f"{path} has no rows", hint="a row needs text, endings and label")
    return HeldOut(("cloze",), tuple(spans), tuple(owners), len(right), text_bytes=tuple(sizes), right=tuple(right))


def _ended(text: str, ending: str, tokenizer: Tokenizer, context: int, where: str) -> Span:
    """A text and an ending behind a blank: where both have the same tokens as alone, the ending's are predicted."""
    before, whole = (tokenizer.ids(one, special=False, literal=True) for one in (text, f"{text} {ending}"))
    shared = next((at for at, (a, b) in enumerate(zip(before, whole, strict=False)) if a != b), len(before))
    begin = max(1, min(shared, len(whole) - 1))
    dropped = max(0, len(whole) - context)
    if dropped >= begin:
        what = f"{where} ends in {len(whole) - begin} tokens of {quoted(ending)}, the context is {context}"
        raise DataError(what, hint="shorten it")
    return Span(tuple(whole[dropped:]), begin - dropped)


def losses_of(decoder: Decoder, spans: Sequence[Span]) -> list[float]:
    """Of each span the negative log-likelihood of its predicted tokens, in nats; a shared beginning is read once."""
    found: list[float] = []
    before: tuple[int, ...] = ()
    for span in spans:
        shared = decoder.held(_shared(before, span)) if before else 0
        decoder.rewind(shared)
        found.append(_loss(decoder, span, shared))
        before = span.ids
    return found


def _shared(before: tuple[int, ...], span: Span) -> int:
    """Tokens at the beginning that were read for the span before and predict nothing that is counted."""
    most = min(len(before) - 1, span.begin - 1)
    pairs = zip(before[:most], span.ids[:most], strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), most)


def _loss(decoder: Decoder, span: Span, start: int) -> float:
    total, ids = 0.0, span.ids[:-1]
    for at in range(start, len(ids), _ROWS):
        chunk = ids[at : at + _ROWS]
        kept = min(len(chunk), at + len(chunk) - (span.begin - 1))
        if kept <= 0:
            decoder.read(chunk)
            continue
        rows = decoder.read(chunk, kept=kept).astype(np.float64)
        follows = span.ids[at + len(chunk) - kept + 1 : at + len(chunk) + 1]
        top = rows.max(1)
        sums = top + np.log(np.exp(rows - top[:, None]).sum(1))
        total += float((sums - rows[np.arange(kept), list(follows)]).sum())
    return total
