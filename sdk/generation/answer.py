"""One answer in the making: from logits to tokens until it ends. Who reads its tokens is elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, get_args

from edgewright.errors import UsageError
from edgewright.generation.sampling import Sampler, Sampling

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgewright.generation.constraint import Constraint, Form
    from edgewright.generation.session import CacheSession

__all__ = ["Answer", "Options", "Written"]

_WhenFull = Literal["stop", "slide", "refuse"]
_Reason = Literal["end", "stop", "length", "context", "cancelled"]

_NEW_TOKENS = 256
"""A choice: transformers' own 20 cut most answers."""
_MOST_AT_ONCE = 64
"""Prompts, each with a cache of its own: a choice; from some eight on the products take as long as their arithmetic."""


@dataclass(frozen=True)
class Options:
    """How an answer is written.

    Attributes:
        max_new_tokens: the most tokens of it.
        sampling: how each is chosen.
        stop: strings that end it; the text is cut before them.
        when_full: what to do when the context is full: `stop` there; `slide`, forget the oldest half of what is not the
            beginning of the prompt and read the rest again; `refuse` a prompt that leaves no room for all new tokens.
        lookup: how many tokens to guess at once from what came after the same words before; the tokens are those that
            come without it, and 0 guesses none, as several prompts at once do.
        ignore_end: write on after a token that ends an answer, for measuring.
        form: what the whole answer must be; one that is cut by `max_new_tokens` only begins so. By name it is one of
            `choices` (texts), `regex` and `json_schema`.
        batch_size: of several prompts, how many are answered at once; 1 is one after the other.
    """

    max_new_tokens: int = _NEW_TOKENS
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    when_full: _WhenFull = "stop"
    lookup: int = 0
    ignore_end: bool = False
    form: Form | None = None
    batch_size: int = 1

    def __post_init__(self) -> None:
        """Raise UsageError for a number that has no meaning."""
        for name, least in (("max_new_tokens", 1), ("batch_size", 1), ("lookup", 0)):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < least:
                raise UsageError(f"{name} is {value!r}, it must be a whole number from {least}")
        if not isinstance(self.stop, list | tuple) or not all(isinstance(one, str) for one in self.stop):
            raise UsageError(f"stop is {self.stop!r}, it must be texts", hint='give ["\\n\\n"]')
        if self.when_full not in get_args(_WhenFull):
            raise UsageError(f"when_full is {self.when_full!r}, it must be one of {', '.join(get_args(_WhenFull))}")
        if self.batch_size > _MOST_AT_ONCE:
            raise UsageError(f"batch_size is {self.batch_size}, at most {_MOST_AT_ONCE} are answered at once")


@dataclass
class Written:
    """What came of an answer.

    Attributes:
        tokens: its ids, without the one that ended it.
        reason: why it ended: `end`, the model's own token; `stop`, a stop string; `length`; `context`, that is full; or
            `cancelled`.
        prompt_tokens: how many the prompt had.
        reused: how many of these lay in the cache already.
        first_s: from the call to the first token.
        rest_s: from there to the last one.
    """

    tokens: list[int] = field(default_factory=list)
    reason: _Reason = "cancelled"
    prompt_tokens: int = 0
    reused: int = 0
    first_s: float = 0.0
    rest_s: float = 0.0

    @property
    def tokens_per_s(self) -> float:
        """Decoded, the first one left out, which the prompt pays for; 0 for fewer than two."""
        count = len(self.tokens) - 1
        return count / self.rest_s if count > 0 and self.rest_s > 0 else 0.0

    def record(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.reused,
            "new_tokens": len(self.tokens),
            "first_token_ms": round(self.first_s * 1000, 1),
            "tokens_per_s": round(self.tokens_per_s, 1),
            "reason": self.reason,
        }


class Answer:
    """Chooses the tokens of an answer.

    Args:
        prompt: how many tokens it answers.
        options: how it is written.
        ends: tokens that end it.
        constraint: what holds it to its form, where it has one.

    Attributes:
        written: what came of it so far.
        over: whether nothing follows any more.
    """

    def __init__(self, prompt: int, options: Options, ends: Collection[int], constraint: Constraint | None) -> None:
        self.options, self.written, self.over = options, Written(prompt_tokens=prompt), False
        self._ends = () if options.ignore_end else ends
        self._constraint, self._sampler = constraint, Sampler(options.sampling)
        self._began, self._first = time.perf_counter(), 0.0

    def choose(self, logits: NDArray[np.float32], before: Sequence[int]) -> int | None:
        """The next token after the tokens `before`, None where it ends the answer.

        Raises:
            EngineError: a logit is no number.
            DataError: no token keeps to the form.
        """
        held = self._constraint
        token = self._sampler.choose(held.held(logits) if held else logits, before)
        whole = held is not None and held.take(token)
        return token if self.take(token, whole=whole) else None

    def take(self, token: int, *, whole: bool = False) -> bool:
        """Take a token, with which the answer may be `whole`; whether it is a part of the answer."""
        written, now = self.written, time.perf_counter()
        self._first = self._first or now
        written.first_s, written.rest_s = self._first - self._began, now - self._first
        if token in self._ends:
            self.over, written.reason = True, "end"
            return False
        written.tokens.append(token)
        if whole or len(written.tokens) >= self.options.max_new_tokens:
            self.over, written.reason = True, "end" if whole else "length"
        return True

    def room(self, session: CacheSession) -> bool:
        """Whether the last token can be read for a next one: where the context is full, by what the options want."""
        if session.room == 0 and self.options.when_full != "slide":
            self.written.reason = "context"
            return False
        if session.room == 0:
            session.slide(self.written.prompt_tokens)
        return True
