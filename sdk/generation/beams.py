"""Which text an encoder-decoder writes: greedy, or the best that a search with several beams finds.

The search is that of transformers' `generate` (version 5), step by step in float32: log probabilities first and rules
on them after, twice as many candidates as beams, the length with its end counted in the penalty, and its own three ways
to stop early. A text's search does not depend on the texts beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from edgewright.errors import EngineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgewright.contracts.encoder_decoder import EncoderDecoder

    Array = NDArray[np.float32]

__all__ = ["Held", "Hypothesis", "Rules", "Search", "log_probabilities", "write"]

_NEVER = np.float32(-1e9)
"""What transformers gives to what must not be chosen; it is finite, so that it can be added."""
_MOST_BEAMS = 64
"""A choice: beyond a dozen translations get worse (Koehn and Knowles 2017, arXiv 1706.03872), and memory grows."""
_MOST_PENALTY = 10.0
"""Either way: a length of 7,000 tokens to this power is still a float32. Models have from 0.6 to 1."""

_FEW = 0.75
"""Of a batch's sources: where no more go on, the others are dropped, which copies the caches. A choice."""
_COLUMN = 64
"""Values of a column in the search for the largest: of 16 to 256 the fastest for 32,000 values."""


@dataclass(frozen=True)
class Search:
    """How a text is looked for.

    Attributes:
        num_beams: texts that are followed at once; 1 is greedy, always the likeliest token.
        length_penalty: a text's log probability is divided by its length to this power: above 0 favours long ones.
        early_stopping: with True a search ends when there are `num_beams` texts, with False when no better one is
            likely, with "never" when none can come, as transformers has it.
        max_new_tokens: the most tokens of a text, its end among them.
    """

    num_beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    max_new_tokens: int = 512

    def __post_init__(self) -> None:
        """Raise UsageError for a value that has no meaning."""
        for name, most in (("num_beams", _MOST_BEAMS), ("max_new_tokens", math.inf)):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise UsageError(f"{name} is {value}, it must be a whole number from 1{f' to {most}' * (most < 1e9)}")
        penalty: Any = self.length_penalty
        if not isinstance(penalty, Real) or not -_MOST_PENALTY <= float(penalty) <= _MOST_PENALTY:
            what = f"a number from {-_MOST_PENALTY:g} to {_MOST_PENALTY:g}"
            raise UsageError(f"length_penalty is {penalty!r}, it must be {what}")
        if self.early_stopping not in (True, False, "never"):
            raise UsageError(f"early_stopping is {self.early_stopping!r}", hint='it is True, False or "never"')


@dataclass(frozen=True)
class Rules:
    """What a model's own files say of its tokens.

    Attributes:
        start: the token that every text begins after.
        ends: those that end one.
        banned: those that never come.
        forced: the one that stands where a text is cut by `max_new_tokens`, None for none.
        renormalize: whether log probabilities are made to sum up again after the rules.
    """

    start: int
    ends: frozenset[int]
    banned: tuple[int, ...] = ()
    forced: int | None = None
    renormalize: bool = False


@dataclass(frozen=True)
class Hypothesis:
    """A text that was found.

    Attributes:
        tokens: with the one that ended it, where one did.
        score: its log probability over its length to the power of the penalty; NaN of a greedy one that nobody asked
            to be scored.
    """

    tokens: tuple[int, ...]
    score: float = math.nan


class Held(Protocol):
    """What says which tokens a text may have: `edgewright.generation.shortlist.Shortlist`."""

    def of(self, source: Sequence[int], rules: Rules) -> NDArray[np.int64]:
        """Those of the text after this source, int64 (candidates,), rising, with what ends it."""


def write(
    model: EncoderDecoder,
    sources: Sequence[Sequence[int]],
    search: Search,
    rules: Rules,
    *,
    scored: bool = False,
    shortlist: Held | None = None,
) -> list[Hypothesis]:
    """What the model writes after each source, the sources read together.

    With `scored` greedy texts have a score too, which takes some time for each token. With a `shortlist` each is held
    to the tokens that its source has there, and their probabilities sum up to one.

    Raises:
        UsageError: a source without a token, or with more than the model reads, or a model that no shortlist holds.
        EngineError: the engine failed, or gave a logit that is no number.
    """
    if shortlist is None:
        model.begin(sources, beams=search.num_beams)
        return _written(model, len(sources), search, rules, scored=scored)
    each = [shortlist.of(source, rules) for source in sources]
    every = each[0] if len(each) == 1 else np.unique(np.concatenate(each))
    barred = [None if len(one) == len(every) else ~np.isin(every, one, assume_unique=True) for one in each]
    model.begin(sources, beams=search.num_beams, candidates=every)
    found = _written(model, len(sources), search, _at(rules, every), scored=scored, tokens_of=every, barred=barred)
    return [Hypothesis(tuple(every[list(one.tokens)].tolist()), one.score) for one in found]


def _at(rules: Rules, candidates: NDArray[np.int64]) -> Rules:
    """The rules with the places of tokens among candidates in the place of the tokens; `start` is none of them."""
    places = {token: place for place, token in enumerate(candidates.tolist())}
    return replace(
        rules,
        ends=frozenset(places[one] for one in rules.ends if one in places),
        banned=tuple(places[one] for one in rules.banned if one in places),
        forced=None if rules.forced is None else places[rules.forced],
    )


def _written(
    model: EncoderDecoder,
    sources: int,
    search: Search,
    rules: Rules,
    *,
    scored: bool,
    tokens_of: NDArray[np.int64] | None = None,
    barred: Sequence[NDArray[np.bool_] | None] = (),
) -> list[Hypothesis]:
    """What comes after sources that were read.

    Where the model is held to candidates all is by their places: `tokens_of` has their tokens, and `barred` for each
    source the places that belong to others alone, which makes a text the same alone and beside others.
    """
    most = min(search.max_new_tokens, model.context)
    every = [
        _Greedy(search, rules, most, scored=scored) if search.num_beams == 1 else _Beams(search, rules, most)
        for _ in range(sources)
    ]
    beams, going = search.num_beams, every
    tokens = np.full(sources * beams, rules.start, np.int64)
    for step in range(most):
        logits = model.step(tokens if tokens_of is None or step == 0 else tokens_of[tokens])
        if not np.isfinite(logits).all():
            raise EngineError(f"the logits of step {step} are not finite", hint="verify the bundle")
        parts = logits.reshape(len(going), beams, -1)
        for at, (one, part) in enumerate(zip(going, parts, strict=True)):
            if not one.done:
                if barred and barred[at] is not None:
                    part[:, barred[at]] = -np.inf
                tokens[at * beams : (at + 1) * beams] = one.take(part, step)
        if all(one.done for one in going):
            break
        if beams > 1:
            model.reorder(np.concatenate([at * beams + one.parents for at, one in enumerate(going)]))
        left = [at for at, one in enumerate(going) if not one.done]
        if len(left) <= _FEW * len(going) and model.keep(np.array(left)):
            tokens = tokens.reshape(-1, beams)[left].ravel()
            going = [going[at] for at in left]
            barred = [barred[at] for at in left] if barred else barred
    return [one.best() for one in every]


class _Greedy:
    """One text, token by token."""

    parents = np.zeros(1, np.int64)

    def __init__(self, search: Search, rules: Rules, most: int, *, scored: bool) -> None:
        self._penalty = search.length_penalty
        self._rules, self._most = rules, most
        self._tokens: list[int] = []
        self._score = 0.0 if scored else math.nan
        self.done = False

    def take(self, logits: Array, step: int) -> int:
        row, rules = logits[0], self._rules
        if rules.forced is not None and step + 1 == self._most:
            token = rules.forced
        else:
            for banned in rules.banned:
                row[banned] = -np.inf
            token = int(row.argmax())
        self._tokens.append(token)
        self.done = token in rules.ends or step + 1 == self._most
        if not math.isnan(self._score):
            self._score += float(log_probabilities(logits, rules, last=step + 1 == self._most)[0, token])
        return token

    def best(self) -> Hypothesis:
        return Hypothesis(tuple(self._tokens), self._score / float(len(self._tokens) ** self._penalty))


class _Beams:
    """The search for one text.

    Attributes:
        parents: which beam each beam goes on from, int64 (beams,).
        done: whether it has ended.
    """

    def __init__(self, search: Search, rules: Rules, most: int) -> None:
        self._search, self._rules, self._most = search, rules, most
        beams = search.num_beams
        self._running: list[tuple[int, ...]] = [()] * beams
        self._scores = np.full(beams, _NEVER)
        self._scores[0] = 0  # of equal beams the first alone is followed
        self._found: list[tuple[int, ...]] = [()] * beams
        self._found_scores, self._ended = np.full(beams, _NEVER), np.zeros(beams, bool)
        self._hopeful, self.done = True, False
        self.parents = np.arange(beams)

    def take(self, logits: Array, step: int) -> Any:
        """The next token of each beam, int64 (beams,). The logits are written over."""
        beams, rules, last = self._search.num_beams, self._rules, step + 1 == self._most
        sums = log_probabilities(logits, rules, last=last)
        sums += self._scores[:, None]
        flat = sums.ravel()
        places = _largest(flat, max(2, 1 + len(rules.ends)) * beams)
        parents, tokens, scores = places // logits.shape[1], places % logits.shape[1], flat[places]
        ending = [last or token in rules.ends for token in tokens.tolist()]
        kept = sorted(range(len(ending)), key=ending.__getitem__)[:beams]  # what goes on first, then by its score
        if any(ending[:beams]):  # of the first beams alone, as the others are spare
            self._keep([self._text(parents, tokens, at) for at in range(beams)], scores[:beams], ending, step + 1)
        self._running = [self._text(parents, tokens, at) for at in kept]
        self._scores = scores[kept] + np.array([ending[at] for at in kept], np.float32) * _NEVER
        self.parents = parents[kept]
        full = bool(self._ended.all())
        if full:
            self._look(step + 1)
        self.done = not self._hopeful or (full and self._search.early_stopping is True) or all(ending)
        return tokens[kept]

    def _text(self, parents: NDArray[np.int64], tokens: NDArray[np.int64], at: int) -> tuple[int, ...]:
        return (*self._running[parents[at]], int(tokens[at]))

    def _keep(self, texts: list[tuple[int, ...]], scores: Array, ending: list[bool], length: int) -> None:
        """Put the candidates that end among the found ones."""
        beams = self._search.num_beams
        ends = np.array(ending[:beams])
        scores = scores / np.float32(length**self._search.length_penalty)
        full = self._search.early_stopping is True and bool(self._ended.all())
        for barred in (full, not self._hopeful, ~ends):
            scores = scores + np.asarray(barred, np.float32) * _NEVER
        merged = np.concatenate([self._found_scores, scores])
        best = _largest(merged, beams)
        every, ended = [*self._found, *texts], np.concatenate([self._ended, ends])
        self._found, self._found_scores, self._ended = [every[at] for at in best], merged[best], ended[best]

    def _look(self, length: int) -> None:
        """Whether the best that goes on may still become better than the worst that was found."""
        penalty = self._search.length_penalty
        longest = self._most if self._search.early_stopping == "never" and penalty > 0 else length
        possible = self._scores[0] / np.float32(longest**penalty)
        self._hopeful = self._hopeful and bool(possible > self._found_scores.min())

    def best(self) -> Hypothesis:
        return Hypothesis(self._found[0], float(self._found_scores[0]))


def log_probabilities(logits: Array, rules: Rules, *, last: bool) -> Array:
    """Of each row of logits after the rules, in their own place; `last` is whether a text is cut here."""
    shares = _log_softmax(logits)
    for banned in rules.banned:
        shares[:, banned] = -np.inf
    if last and rules.forced is not None:
        shares[:] = -np.inf
        shares[:, rules.forced] = 0
    return _log_softmax(shares) if rules.renormalize else shares


def _log_softmax(logits: Array) -> Array:
    """Of each row, in its own place."""
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logits


def _largest(values: Array, count: int) -> NDArray[np.int64]:
    """The places of the largest values, the largest first, of equal ones the first.

    The values are cut into columns. As many columns as are wanted have a largest value that is at least the threshold,
    and so has whatever is among the largest: few are left to be sorted.
    """
    columns = len(values) // _COLUMN
    near = np.arange(len(values))
    if columns >= count:
        whole = columns * _COLUMN
        peaks = np.concatenate([values[:whole].reshape(_COLUMN, columns).max(axis=0), values[whole:]])
        near = np.flatnonzero(values >= np.partition(peaks, -count)[-count])
    found: NDArray[np.int64] = near[np.argsort(-values[near], kind="stable")[:count]]
    return found
