"""A search whose texts hold given terms: dynamic beam allocation (Post and Vilar 2018, arXiv 1804.06609).

Beams stand in banks by how many tokens of the terms they have written, and each bank has its share of the beams: a term
that the model finds unlikely is still tried at every place, and the likeliest text that holds them all is kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgewright.errors import EngineError
from edgewright.generation.beams import Hypothesis, log_probabilities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgewright.contracts.encoder_decoder import EncoderDecoder
    from edgewright.generation.beams import Rules, Search

__all__ = ["write_forced"]

_LEAST_BEAMS = 8
"""A choice: two for each bank of a term of three tokens."""

_Terms = tuple[tuple[int, ...], ...]
"""Token ids of each."""


@dataclass(frozen=True)
class _Beam:
    """A text on its way.

    Attributes:
        left: the terms that it does not hold yet.
        inside: how many tokens of which of these it ends with, None outside of them.
    """

    tokens: tuple[int, ...]
    score: float
    parent: int
    left: _Terms
    inside: tuple[int, int] | None = None

    @property
    def missing(self) -> int:
        """Tokens of the terms that are still to be written."""
        return sum(map(len, self.left)) - (self.inside[1] if self.inside else 0)

    def wanted(self) -> list[int]:
        """What goes on with the terms."""
        if self.inside:
            return [self.left[self.inside[0]][self.inside[1]]]
        return [term[0] for term in self.left]

    def then(self, token: int, score: float, parent: int) -> _Beam:
        """The text with a token more."""
        tokens = (*self.tokens, token)
        on = replace(self, tokens=tokens, score=score, parent=parent, inside=None)
        ends = [_begun(tokens, term) for term in self.left]
        count = max(ends, default=0)
        if not count:
            return on
        at = ends.index(count)
        if count < len(self.left[at]):
            return replace(on, inside=(at, count))
        return replace(on, left=(*self.left[:at], *self.left[at + 1 :]))


def _begun(tokens: tuple[int, ...], term: tuple[int, ...]) -> int:
    """How many tokens of a term a text ends with."""
    return next(n for n in range(min(len(term), len(tokens)), -1, -1) if tokens[len(tokens) - n :] == term[:n])


def write_forced(
    model: EncoderDecoder, source: Sequence[int], search: Search, rules: Rules, terms: _Terms
) -> Hypothesis:
    """What the model writes after a source, with all terms in it where `max_new_tokens` has room for them.

    The terms are token ids, each at least one, none of which ends a text. There are at least eight beams, and the
    search ends when as many texts were found.

    Raises:
        UsageError: as `edgewright.generation.beams.write`.
        EngineError: the engine failed, or gave a logit that is no number.
    """
    beams, most = max(search.num_beams, _LEAST_BEAMS), min(search.max_new_tokens, model.context)
    model.begin([source], beams=beams)
    running, found = [_Beam((), 0.0, 0, terms)], list[_Beam]()
    for step in range(most):
        last = [beam.tokens[-1] if beam.tokens else rules.start for beam in running]
        logits = model.step(np.array(last + [rules.start] * (beams - len(last)), np.int64))[: len(running)]
        if not np.isfinite(logits).all():
            raise EngineError(f"the logits of step {step} are not finite", hint="verify the bundle")
        shares = log_probabilities(logits, rules, last=step + 1 == most)
        ends = frozenset() if step + 1 == most else rules.ends
        every = [one for at, beam in enumerate(running) for one in _onwards(beam, shares[at], at, ends, beams)]
        ended = [one for one in every if one.tokens[-1] in rules.ends or step + 1 == most]
        found += [one for one in ended if not one.left] or ended * (step + 1 == most)
        running = _allotted([one for one in every if one.tokens[-1] not in rules.ends], beams)
        if not running or len(found) >= beams:
            break
        rows = [beam.parent for beam in running]
        model.reorder(np.array(rows + [rows[0]] * (beams - len(rows))))
    best = min(found or running, key=lambda one: (one.missing, -_score(one, search)))
    return Hypothesis(best.tokens, _score(best, search))


def _onwards(beam: _Beam, shares: NDArray[np.float32], at: int, ends: frozenset[int], beams: int) -> list[_Beam]:
    """The likeliest that a text may go on with, and what its terms want; none of the ends before it holds them."""
    likely = np.argpartition(-shares, min(beams, len(shares) - 1))[: beams + 1].tolist()
    tokens = dict.fromkeys([*likely, *beam.wanted()])
    return [
        beam.then(token, beam.score + float(shares[token]), at)
        for token in tokens
        if math.isfinite(shares[token]) and not (beam.left and token in ends)
    ]


def _allotted(every: list[_Beam], beams: int) -> list[_Beam]:
    """As many as there is room for: the best of each bank in turn, the fullest bank first."""
    banks: dict[int, list[_Beam]] = {}
    for one in sorted(every, key=lambda one: -one.score):
        banks.setdefault(one.missing, []).append(one)
    kept: list[_Beam] = []
    while len(kept) < beams and any(banks.values()):
        kept += [bank.pop(0) for _, bank in sorted(banks.items()) if bank][: beams - len(kept)]
    return kept


def _score(one: _Beam, search: Search) -> float:
    return one.score / float(len(one.tokens) ** search.length_penalty)
