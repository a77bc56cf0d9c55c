"""A loaded decoder that writes: prompts and conversations in, text out, token by token.

    with edgewright.load("chat") as chat:
        for piece in chat.stream("Why is the sky blue?"):
            print(piece, end="")

The cache stays from one call to the next, so that a conversation's next turn reads its new words alone.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from edgewright.errors import DataError, SourceError, UsageError
from edgewright.generation.chat_template import ChatTemplate
from edgewright.generation.constraint import Constraint, Constraints, Form
from edgewright.generation.lookup import drafted
from edgewright.generation.sampling import Sampler, Sampling
from edgewright.generation.text_stream import TextStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from collections.abc import Generator as Generating
    from pathlib import Path

    from edgewright.bundle.manifest import Artifact
    from edgewright.generation.defaults import Defaults
    from edgewright.generation.session import CacheSession
    from edgewright.text.tokenizer import Tokenizer

    Prompt = str | Sequence[Mapping[str, Any]]

__all__ = ["Generator", "Options", "Written"]

_Reason = Literal["end", "stop", "length", "context", "cancelled"]

_FORMS = ("choices", "regex", "json_schema")
_NEW_TOKENS = 256
"""A choice: transformers' own 20 cut most answers."""


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
            come without it, and 0 guesses none.
        ignore_end: write on after a token that ends an answer, for measuring.
        form: what the whole answer must be; one that is cut by `max_new_tokens` only begins so. By name it is one of
            `choices` (texts), `regex` and `json_schema`.
    """

    max_new_tokens: int = _NEW_TOKENS
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    when_full: Literal["stop", "slide", "refuse"] = "stop"
    lookup: int = 0
    ignore_end: bool = False
    form: Form | None = None


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


class Generator:
    """Tokenizer, an opened decoder with its cache, and the model's own way to generate.

    Call it with a prompt, or a list of messages `{"role", "content"}`, for what transformers' pipeline gives:
    `[{"generated_text": ...}]`; with a list of prompts for a list of those.

    Attributes:
        last: what came of the last answer.
        artifact: what is opened.
        engine: the key of the engine.
        threads: those of the engine.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        session: CacheSession,
        defaults: Defaults,
        *,
        directory: Path,
        artifact: Artifact | None = None,
        engine: str = "",
        threads: int = 0,
    ) -> None:
        self.tokenizer, self.session, self.defaults = tokenizer, session, defaults
        self.artifact, self.engine, self.threads = artifact, engine, threads
        self.last = Written()
        self._directory, self._closed = directory, False
        self._template: ChatTemplate | None = None
        self._constraints: Constraints | None = None

    def __repr__(self) -> str:
        from edgewright.system.shown import brief

        threads = f"{self.threads} thread{'s' * (self.threads > 1)}" if self.threads else ""
        key = self.artifact.key if self.artifact else "eager"
        return brief(self, "text-generation", key, self.engine, threads, "closed" if self._closed else "")

    def __call__(self, prompt: Any, *, return_full_text: bool = True, **options: Any) -> Any:
        """Write to the end; see `stream` for the options.

        Raises:
            UsageError: an option has no meaning, or the prompt does not fit the context.
            DataError: it is neither a text nor messages.
        """
        if isinstance(prompt, list) and all(isinstance(each, str | list) for each in prompt) and prompt:
            return [self(each, return_full_text=return_full_text, **options) for each in prompt]
        text = "".join(self.stream(prompt, **options))
        if not isinstance(prompt, str):
            answer = {"role": "assistant", "content": text}
            return [{"generated_text": [*prompt, answer] if return_full_text else text}]
        return [{"generated_text": prompt + text if return_full_text else text}]

    def stream(self, prompt: Prompt, **options: Any) -> Iterator[str]:
        """Write piece by piece, whole characters each; what was asked is not among them.

        Closing the iterator ends the answer; what was written stays in the cache.

        Args:
            prompt: a text, or messages `{"role", "content"}` for a model with a chat template.
            options: the fields of `Options` and of `Sampling`, by their names.

        Raises:
            UsageError: an option has no meaning, or the prompt does not fit the context.
            DataError: the prompt is neither a text nor messages.
        """
        return self._stream(self.ids(prompt), self.options(**options))

    def _stream(self, ids: list[int], options: Options) -> Iterator[str]:
        with closing(self.pieces(ids, options)) as pieces:
            yield from filter(None, pieces)

    def options(self, **given: Any) -> Options:
        """Options by name, the model's own where they are not given. Raises UsageError."""
        sampling = {name: given.pop(name) for name in Sampling.__dataclass_fields__ if name in given}
        if isinstance(given.get("stop"), str):
            given["stop"] = (given["stop"],)
        forms = {name: given.pop(name) for name in _FORMS if name in given}
        if form := Form.of(**forms):
            given["form"] = form
        strangers = sorted(given.keys() - Options.__dataclass_fields__)
        if strangers:
            names = {*Options.__dataclass_fields__, *Sampling.__dataclass_fields__, *_FORMS}
            known = sorted(names - {"sampling", "form"})
            raise UsageError(f"no option is called {strangers[0]}", hint=f"options are {', '.join(known)}")
        if given.get("max_new_tokens", 1) < 1:
            raise UsageError(f"max_new_tokens is {given['max_new_tokens']}, at least 1 is wanted")
        chosen = given.pop("sampling", self.defaults.sampling)
        return Options(**{"sampling": replace(chosen, **sampling), **given})

    def asked(self, words: Any, *, system: str | None = None, raw: bool = False) -> Prompt:
        """What a person's words are to the model: messages where it has a chat template, unless `raw`, else a prompt.

        Raises:
            SourceError: there are no messages, and so no place for `system`.
        """
        if self.has_template and not raw:
            beginning = [{"role": "system", "content": system}] if system else []
            return [*beginning, {"role": "user", "content": words}]
        if system:
            hint = "the model has no chat template, or --raw was given"
            raise SourceError("there is nowhere to put --system", hint=hint)
        prompt: Prompt = words
        return prompt

    def row(
        self, words: Any, *, system: str | None = None, raw: bool = False, stats: bool = False, **options: Any
    ) -> dict[str, Any]:
        """Words and what is written after them, as plain JSON values: what `edgewright run` prints.

        Raises as `asked` and `stream` do.
        """
        asked = self.asked(words, system=system, raw=raw)
        row = {"text": words, "answer": self(asked, return_full_text=asked is words, **options)}
        return {**row, "stats": self.last.record()} if stats else row

    def ids(self, prompt: Prompt) -> list[int]:
        """The token ids of a prompt or a conversation. Raises DataError."""
        if isinstance(prompt, str):
            return self.tokenizer.ids(prompt)
        if isinstance(prompt, list | tuple) and prompt:
            return self.template.encode(self.tokenizer, prompt)
        raise DataError(f"a {type(prompt).__name__} is no prompt", hint="give a text, or a list of messages")

    @property
    def template(self) -> ChatTemplate:
        """The model's chat template. Raises SourceError where it has none."""
        self._template = self._template or ChatTemplate(self._directory)
        return self._template

    @property
    def has_template(self) -> bool:
        """Whether the model has one: it was made to converse."""
        try:
            return bool(self.template)
        except SourceError:
            return False

    def pieces(self, ids: Sequence[int], options: Options) -> Generating[str, None, None]:
        """The text that each token of an answer lets out, "" for many; `stream` gives what is not empty."""
        decode: Callable[[Sequence[int]], str] = self.tokenizer.decode
        text = TextStream(decode, self.tokenizer.token, options.stop, after=ids)
        writing = self.write(ids, options)
        try:
            for token in writing:
                yield text.push(token)
                if text.stopped:
                    self.last.reason = "stop"
                    return
            yield text.finish()
        finally:
            writing.close()

    def write(self, ids: Sequence[int], options: Options) -> Generating[int, None, None]:
        """The tokens of an answer to a prompt of token ids, as they are chosen; `last` says what came of it."""
        if self._closed:
            raise UsageError("the generator is closed", hint="load the bundle again")
        session, written = self.session, Written(prompt_tokens=len(ids))
        self.last = written
        if options.when_full == "refuse" and len(ids) + options.max_new_tokens > session.decoder.context:
            what = f"{len(ids)} tokens of the prompt and {options.max_new_tokens} new ones"
            raise UsageError(
                f"{what} are more than the context of {session.decoder.context}", hint="shorten one of them"
            )
        held = self.constraint(options)
        sampler, began = Sampler(options.sampling), time.perf_counter()
        logits = session.prompt(ids)
        written.reused = session.reused
        guessing = options.lookup if options.sampling == Sampling() and not held else 0
        first = 0.0
        while True:
            token = sampler.choose(held.held(logits) if held else logits, session.tokens)
            over = held is not None and held.take(token)
            first = first or time.perf_counter()
            written.first_s, written.rest_s = first - began, time.perf_counter() - first
            if token in self.defaults.ends and not options.ignore_end:
                written.reason = "end"
                return
            written.tokens.append(token)
            yield token
            if over or len(written.tokens) >= options.max_new_tokens:
                written.reason = "end" if over else "length"
                return
            if session.room == 0 and not self._slid(len(ids), options):
                written.reason = "context"
                return
            draft = drafted([*session.tokens, token], guessing, session.room - 1) if guessing else []
            if not draft:
                logits = session.step(token)
                continue
            yield from self._guessed([token, *draft], written, options, first)
            if written.reason != "cancelled":
                return
            logits = self._after

    def constraint(self, options: Options) -> Constraint | None:
        """What an answer is held to. Raises UsageError: no answer has that form."""
        if not options.form:
            return None
        self._constraints = self._constraints or Constraints(
            self._directory, self.session.decoder.vocabulary, self.defaults.ends
        )
        return self._constraints.begin(options.form)

    def _guessed(self, draft: list[int], written: Written, options: Options, first: float) -> Iterator[int]:
        """Read a token and what may follow it at once; give what does follow, and leave the logits after it."""
        session = self.session
        begun = len(session.tokens)
        every = session.verify(draft)
        agreed = 0
        while agreed + 1 < len(draft) and int(every[agreed].argmax()) == draft[agreed + 1]:
            agreed += 1
            token = draft[agreed]
            if token in self.defaults.ends and not options.ignore_end:
                session.rewind(begun + agreed)
                written.reason = "end"
                return
            written.tokens.append(token)
            written.rest_s = time.perf_counter() - first
            yield token
            if len(written.tokens) >= options.max_new_tokens:
                session.rewind(begun + agreed)
                written.reason = "length"
                return
        self._after = every[agreed].copy()
        session.rewind(begun + agreed + 1)

    def _slid(self, prompt: int, options: Options) -> bool:
        """Make room in a full context, where the options want that: the older half of what is not the prompt goes."""
        if options.when_full != "slide":
            return False
        tokens = self.session.tokens
        kept = min(prompt, len(tokens) // 2)
        self.session.prompt(tokens[:kept] + tokens[kept + (len(tokens) - kept + 1) // 2 :])
        return True

    def close(self) -> None:
        """Give the decoder back."""
        self._closed = True
        self.session.decoder.close()

    def __enter__(self) -> Generator:  # noqa: PYI034 - typing has Self from Python 3.11 on
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
