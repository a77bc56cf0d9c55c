"""Tokens with tags -> entities, by the strategies of transformers' token-classification pipeline, as it defines them.

`none`     each token with its likeliest tag.
`simple`   neighbours with the same name are one entity, whose score is the mean over its tokens.
`first`    the tokens of a word take the tag of its first one; then as `simple`, over words.
`average`  they take the likeliest tag of their mean probabilities.
`max`      they take the tag of the one that is surest.

Which tokens are one word is known where a tokenizer marks the pieces that go on with one (WordPiece's `##`); of any
other it is what stands between spaces.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from edgewright.tasks import Entity, TaggedToken, softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgewright.text.encoding import Encoding, Words

__all__ = ["Strategy", "aggregated"]

Strategy = Literal["none", "simple", "first", "average", "max"]


class _Piece(NamedTuple):
    """A token: its characters, its probabilities (labels,), and whether it goes on with the word before it."""

    word: str
    chances: NDArray[Any]
    start: int
    end: int
    place: int
    inside: bool


class _Tagged(NamedTuple):
    """A token, or a word, with its tag."""

    tag: str
    score: float
    word: str
    start: int
    end: int


def aggregated(
    strategy: Strategy, logits: NDArray[Any], labels: Sequence[str], encoding: Encoding, at: int
) -> list[Entity] | list[TaggedToken]:
    """The logits (tokens, labels) of the text in the row `at` of an encoding -> what is not tagged `O`, in order."""
    assert encoding.tokenizer  # noqa: S101 - a tokenizer of ours made it
    tokenizer, pieces = encoding.tokenizer, _pieces(softmax(logits), encoding, at)
    if strategy == "none":
        tags = ((labels[int(piece.chances.argmax())], piece) for piece in pieces)
        return [_token(tag, piece) for tag, piece in tags if tag != "O"]
    words = [[piece] for piece in pieces] if strategy == "simple" else _words(pieces)
    tagged = [_of_word(word, strategy, labels, tokenizer) for word in words]
    return [entity for run in _runs(tagged) if (entity := _entity(run, tokenizer))["entity_group"] != "O"]


def _pieces(chances: NDArray[Any], encoding: Encoding, at: int) -> list[_Piece]:
    tokenizer, whole = encoding.tokenizer, str(encoding.texts[at])
    assert tokenizer  # noqa: S101 - as above
    ids = encoding.feeds["input_ids"][at].tolist()
    found = []
    for index, (side, (start, end)) in enumerate(zip(encoding.sequences[at], encoding.offsets[at], strict=True)):
        if side is None:
            continue
        (word,), given = tokenizer.tokens(ids[index : index + 1]), whole[start:end]
        inside = (
            len(word) != len(given) if tokenizer.marks_pieces else start > 0 and " " not in whole[start - 1 : start + 1]
        )
        if ids[index] == tokenizer.unknown_id:
            word, inside = given, False
        found.append(_Piece(word, chances[index], start, end, index, inside))
    return found


def _token(tag: str, piece: _Piece) -> TaggedToken:
    score = float(piece.chances.max())
    return TaggedToken(entity=tag, score=score, index=piece.place, word=piece.word, start=piece.start, end=piece.end)


def _words(pieces: Sequence[_Piece]) -> list[list[_Piece]]:
    numbers = np.cumsum([not piece.inside for piece in pieces]).tolist()
    return [
        [piece for _, piece in some] for _, some in groupby(zip(numbers, pieces, strict=True), lambda pair: pair[0])
    ]


def _of_word(pieces: Sequence[_Piece], strategy: Strategy, labels: Sequence[str], tokenizer: Words) -> _Tagged:
    every = np.stack([piece.chances for piece in pieces])
    if strategy == "average":
        chances = every.mean(axis=0)
    else:
        chances = every[int(every.max(axis=1).argmax())] if strategy == "max" else every[0]
    best = int(chances.argmax())
    word = pieces[0].word if strategy == "simple" else tokenizer.joined([piece.word for piece in pieces])
    return _Tagged(labels[best], float(chances[best]), word, pieces[0].start, pieces[-1].end)


def _runs(tagged: Sequence[_Tagged]) -> list[list[_Tagged]]:
    """Neighbours with the same name; `B-` begins anew."""
    found: list[list[_Tagged]] = []
    for one in tagged:
        begins, name = one.tag.startswith("B-"), _name(one.tag)
        if found and not begins and _name(found[-1][-1].tag) == name:
            found[-1].append(one)
        else:
            found.append([one])
    return found


def _name(tag: str) -> str:
    return tag[2:] if tag.startswith(("B-", "I-")) else tag


def _entity(run: Sequence[_Tagged], tokenizer: Words) -> Entity:
    return Entity(
        entity_group=run[0].tag.split("-", 1)[-1],
        score=float(np.mean([one.score for one in run])),
        word=tokenizer.joined([one.word for one in run]),
        start=run[0].start,
        end=run[-1].end,
    )
