"""Which token comes next: greedy, or drawn from what is left of the probabilities.

The order is that of transformers' `generate`: repetition penalty, n-grams that may not come again, temperature, top-k,
top-p, min-p. One number is drawn for a token, from NumPy's PCG64, and the tokens are tried from the likeliest on, so
that a seed gives the same text on every machine whose engine gives the same logits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import EngineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Sampler", "Sampling"]

_LEAST, _MOST = 1e-30, 1e30
"""What a logit, some hundreds at most, may be divided by or multiplied with and be a finite float32."""
_RULES: tuple[tuple[str, type, str, Callable[[Any], bool]], ...] = (
    ("temperature", Real, "a number from 0", lambda value: 0 <= value < math.inf),
    ("top_k", Integral, "a whole number from 0", lambda value: value >= 0),
    ("top_p", Real, "above 0 and at most 1", lambda value: 0 < value <= 1),
    ("min_p", Real, "from 0 to 1", lambda value: 0 <= value <= 1),
    ("repetition_penalty", Real, f"from {_LEAST:g} to {_MOST:g}", lambda value: _LEAST <= value <= _MOST),
    ("no_repeat_ngram_size", Integral, "a whole number from 0", lambda value: value >= 0),
    ("seed", Integral, "a whole number from 0", lambda value: value >= 0),
)
"""Of each setting, its kind, the words for what it must be, and whether it is."""


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen.

    Attributes:
        temperature: what logits are divided by; 0 is greedy, always the likeliest token, and so is less than 1e-30.
        top_k: only so many of the likeliest; 0 is all.
        top_p: only the likeliest that together have this probability (arXiv 1904.09751).
        min_p: only those with at least this share of the likeliest one's probability (arXiv 2407.01082).
        repetition_penalty: what the logits of tokens that were there already are divided by, or multiplied with where
            they are negative (arXiv 1909.05858); 1 is none.
        no_repeat_ngram_size: a sequence of so many tokens never comes twice; 0 is no such rule.
        seed: of the draws; None is another one each time.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    seed: int | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for a value that has no meaning."""
        for name, kind, wanted, fits in _RULES:
            value = getattr(self, name)
            if not (isinstance(value, kind) and fits(value)) and (name, value) != ("seed", None):
                raise UsageError(f"{name} is {value!r}, it must be {wanted}")

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Sampling:
        """What a generation_config.json asks for: greedy unless it says `do_sample`."""
        names = {field.name for field in fields(cls)} - {"seed"}
        given = {name: config[name] for name in names if isinstance(config.get(name), int | float)}
        if config.get("do_sample") is True:
            return cls(
                **{"temperature": 1.0, "top_k": 50, **given}
            )  # transformers' own defaults (generation_config.py)
        kept = ("repetition_penalty", "no_repeat_ngram_size")
        return cls(**{name: given[name] for name in kept if name in given})


class Sampler:
    """Chooses tokens, one after the other; a seed makes the choices repeat."""

    def __init__(self, sampling: Sampling) -> None:
        self._how = sampling
        self._random = np.random.Generator(np.random.PCG64(sampling.seed))

    def choose(self, logits: NDArray[np.float32], before: Sequence[int]) -> int:
        """The next token after the tokens `before`, the prompt's among them; `logits` is float32 (vocabulary,).

        Raises:
            EngineError: a logit is no number.
        """
        how = self._how
        best = int(logits.argmax())
        if not math.isfinite(logits[best]):
            raise EngineError(f"the logits after {len(before)} tokens are not finite", hint="verify the bundle")
        if how.repetition_penalty != 1 or how.no_repeat_ngram_size:
            logits = self._ruled(logits, before)
            best = int(logits.argmax())
        if how.temperature < _LEAST or how.top_k == 1 or not math.isfinite(logits[best]):  # the rules may leave none
            return best
        tokens, shares = self._candidates(logits)
        drawn = self._random.random() * shares.sum()
        at = int(np.searchsorted(np.cumsum(shares), drawn, side="right"))
        return int(tokens[min(at, len(tokens) - 1)])

    def _ruled(self, logits: NDArray[np.float32], before: Sequence[int]) -> NDArray[np.float32]:
        """The logits after the rules on what was there already."""
        ruled = logits.copy()
        if self._how.repetition_penalty != 1:
            seen = np.unique(np.asarray(before, np.int64))
            values, penalty = ruled[seen], np.float32(self._how.repetition_penalty)
            ruled[seen] = np.where(values < 0, values * penalty, values / penalty)
        if self._how.no_repeat_ngram_size:
            ruled[_repeats(before, self._how.no_repeat_ngram_size)] = -np.inf
        return ruled

    def _candidates(self, logits: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Tokens that may come, from the likeliest on, equal ones by their ids, and their shares."""
        how = self._how
        scaled = logits.astype(np.float64) / how.temperature
        tokens = np.arange(len(scaled))
        if 0 < how.top_k < len(scaled):  # those as likely as the last one stay, as in transformers
            tokens = np.flatnonzero(scaled >= np.partition(scaled, -how.top_k)[-how.top_k])
        tokens = tokens[np.lexsort((tokens, -scaled[tokens]))]
        shares = np.exp(scaled[tokens] - scaled[tokens[0]])
        if how.top_p < 1:
            before = np.cumsum(shares / shares.sum()) - shares / shares.sum()
            kept = before < how.top_p
            tokens, shares = tokens[kept], shares[kept]
        kept = shares >= how.min_p * shares[0]
        return tokens[kept], shares[kept]


def _repeats(before: Sequence[int], size: int) -> list[int]:
    """The tokens that would end a sequence of `size` tokens that was there already."""
    tail = tuple(before[len(before) - size + 1 :])
    starts = range(len(before) - size + 1)
    return [before[at + size - 1] for at in starts if tuple(before[at : at + size - 1]) == tail]
