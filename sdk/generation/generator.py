"""A loaded decoder that writes: prompts and conversations in, text out, token by token.

    with edgewright.load("chat") as chat:
        for piece in chat.stream("Why is the sky blue?"):
            print(piece, end="")

The cache stays from one call to the next, so that a conversation's next turn reads its new words alone.
"""

from __future__ import annotations

from collections import deque
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgewright.contracts.decoder import Alone
from edgewright.errors import DataError, SourceError, UsageError
from edgewright.generation.answer import Answer, Options, Written
from edgewright.generation.batch import Batch, Row
from edgewright.generation.chat_template import ChatTemplate
from edgewright.generation.constraint import Constraint, Constraints, Form
from edgewright.generation.lookup import drafted
from edgewright.generation.sampling import Sampling
from edgewright.generation.text_stream import TextStream
from edgewright.system.notices import log
from edgewright.text.columns import several

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Generator as Generating
    from pathlib import Path

    from edgewright.bundle.manifest import Artifact
    from edgewright.contracts.decoder import Rows
    from edgewright.generation.defaults import Defaults
    from edgewright.generation.session import CacheSession
    from edgewright.text.tokenizer import Tokenizer

    Prompt = str | Sequence[Mapping[str, Any]]

__all__ = ["Generator"]

_FORMS = ("choices", "regex", "json_schema")
"""What an artifact cannot do; the command line shows it."""


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
        prompts = _several(prompt)
        if prompts is not None:
            texts = self.answers(prompts, **options)
            return [_formed(each, text, full=return_full_text) for each, text in zip(prompts, texts, strict=True)]
        return _formed(prompt, "".join(self.stream(prompt, **options)), full=return_full_text)

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

    def answers(self, prompts: Iterable[Prompt], **options: Any) -> Iterator[str]:
        """The texts that follow several prompts, in their order; `last` is always of the one that was given.

        With a `batch_size` above 1 so many are written at once, one run of the engine for a token of each, which is
        faster than one after the other; where an artifact cannot, they are written one after the other. At fp32 each
        has the tokens that it has alone. At int8 ONNX Runtime multiplies several rows in another way than one, with
        logits that differ as much as those of int8 from fp32 do: an answer may be another one, as good.

        Raises:
            UsageError: an option has no meaning, or a prompt does not fit the context.
            DataError: a prompt is neither a text nor messages.
        """
        if isinstance(prompts, str | bytes | dict) or not hasattr(prompts, "__iter__"):
            what = f"a {type(prompts).__name__} is not several prompts"
            raise DataError(what, hint="give a list of them, or ask for one by calling the generator")
        chosen = self.options(**options)
        rows = self._rows(chosen.batch_size) if chosen.batch_size > 1 else None
        if rows is None:
            for prompt in prompts:
                yield "".join(self._stream(self.ids(prompt), chosen))
            return
        begun = (self.row(self.ids(prompt), chosen) for prompt in prompts)
        with closing(Batch(rows).written(begun)) as written:
            for row in written:
                self.last = row.answer.written
                yield "".join(row.pieces)

    def _rows(self, count: int) -> Rows | None:
        self._check_open()
        rows = self.session.decoder.rows(count)
        if rows is None:
            key = self.artifact.key if self.artifact else "this artifact"
            log("generation").warning("%s reads one text at a time: the prompts are answered one after the other", key)
        return rows

    def batch(self, count: int) -> Batch:
        """Room for so many answers at once; for one, which takes the session, where an artifact has one cache.

        Raises:
            EngineError: there is not so much memory.
        """
        self._check_open()
        decoder = self.session.decoder
        rows = decoder.rows(count) if count > 1 else None
        if rows is None:
            self.session.rewind(0)
        return Batch(rows or Alone(decoder))

    def row(self, ids: Sequence[int], options: Options) -> Row:
        """A prompt for a batch, of which no token has been read. Raises UsageError."""
        return Row(ids, self._answer(ids, options), self._text(ids, options))

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

    def rows(
        self,
        prompts: Iterable[Any],
        *,
        system: str | None = None,
        raw: bool = False,
        stats: bool = False,
        **options: Any,
    ) -> Iterator[dict[str, Any]]:
        """Prompts, each with what is written after it, as plain JSON values: what `edgewright run` prints.

        Raises as `asked` and `answers` do.
        """
        begun: deque[tuple[Any, Prompt]] = deque()

        def asked() -> Iterator[Prompt]:
            for words in prompts:
                begun.append((words, self.asked(words, system=system, raw=raw)))
                yield begun[-1][1]

        for text in self.answers(asked(), **options):
            words, prompt = begun.popleft()
            row = {"text": words, "answer": _formed(prompt, text, full=prompt is words)}
            yield {**row, "stats": self.last.record()} if stats else row

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
        text = self._text(ids, options)
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

    def _text(self, ids: Sequence[int], options: Options) -> TextStream:
        decode: Callable[[Sequence[int]], str] = self.tokenizer.decode
        return TextStream(decode, self.tokenizer.token, options.stop, after=ids)

    def write(self, ids: Sequence[int], options: Options) -> Generating[int, None, None]:
        """The tokens of an answer to a prompt of token ids, as they are chosen; `last` says what came of it."""
        self._check_open()
        session, answer = self.session, self._answer(ids, options)
        self.last = answer.written
        logits = session.prompt(ids)
        answer.written.reused = session.reused
        guessing = options.lookup if options.sampling == Sampling() and not options.form else 0
        while (token := answer.choose(logits, session.tokens)) is not None:
            yield token
            if answer.over or not answer.room(session):
                return
            draft = drafted([*session.tokens, token], guessing, session.room - 1) if guessing else []
            if not draft:
                logits = session.step(token)
                continue
            if not (yield from self._guessed([token, *draft], answer)):
                return
            logits = self._after

    def _answer(self, ids: Sequence[int], options: Options) -> Answer:
        """The answer to a prompt, of which no token has been read. Raises UsageError."""
        context = self.session.decoder.context
        if options.when_full == "refuse" and len(ids) + options.max_new_tokens > context:
            what = f"{len(ids)} tokens of the prompt and {options.max_new_tokens} new ones"
            raise UsageError(f"{what} are more than the context of {context}", hint="shorten one of them")
        return Answer(len(ids), options, self.defaults.ends, self.constraint(options))

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError("the generator is closed", hint="load the bundle again")

    def constraint(self, options: Options) -> Constraint | None:
        """What an answer is held to. Raises UsageError: no answer has that form."""
        if not options.form:
            return None
        self._constraints = self._constraints or Constraints(
            self._directory, self.session.decoder.vocabulary, self.defaults.ends
        )
        return self._constraints.begin(options.form)

    def _guessed(self, draft: list[int], answer: Answer) -> Generating[int, None, bool]:
        """Read a token and what may follow it at once; give what does follow, and leave the logits after it.

        Whether the answer goes on.
        """
        session = self.session
        begun = len(session.tokens)
        every = session.verify(draft)
        agreed = 0
        while agreed + 1 < len(draft) and int(every[agreed].argmax()) == draft[agreed + 1]:
            agreed += 1
            if answer.take(draft[agreed]):
                yield draft[agreed]
            if answer.over:
                session.rewind(begun + agreed)
                return False
        self._after = every[agreed].copy()
        session.rewind(begun + agreed + 1)
        return True

    def close(self) -> None:
        """Give the decoder back."""
        self._closed = True
        self.session.decoder.close()

    def __enter__(self) -> Generator:  # noqa: PYI034 - typing has Self from Python 3.11 on
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _several(given: Any) -> list[Any] | None:
    """Several prompts, of a list, a generator or a column; None where it is one, as a list of messages is."""
    if isinstance(given, list):
        return given if given and all(isinstance(each, str | list) for each in given) else None
    column = several(given)
    return None if column is None else list(column)


def _formed(prompt: Any, text: str, *, full: bool) -> list[dict[str, Any]]:
    """The answer to a prompt as transformers' pipeline gives it."""
    if not full:
        return [{"generated_text": text}]
    if isinstance(prompt, str):
        return [{"generated_text": prompt + text}]
    return [{"generated_text": [*prompt, {"role": "assistant", "content": text}]}]
