"""A loaded encoder-decoder that translates: a text in, its translation out, line by line and sentence by sentence.

    with edgewright.load("tr") as translator:
        translator("Turn on the lights")    # [{'translation_text': 'Enciende las luces'}]

Lines and the white space around sentences stay as they are. Each sentence is translated alone, unless `batch_size` asks
for several at once.
"""

from __future__ import annotations

import logging
import re
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from edgewright.errors import DataError, UsageError, quoted
from edgewright.generation.beams import Search, write
from edgewright.text.sentences import fitting, sentences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgewright.bundle.manifest import Artifact
    from edgewright.contracts.encoder_decoder import EncoderDecoder
    from edgewright.generation.beams import Hypothesis, Rules
    from edgewright.tasks import Task
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["Options", "Translator", "read_target"]

_LOG = logging.getLogger("edgewright.generation")
"""What was done to a text so that it fits; the command line shows it."""
_TARGET = re.compile(r"\s*(>>[^<>\s]{1,20}<<)\s*")
"""The language that OPUS-MT's models of several are asked for, such as `>>es<<`."""
_WINDOW = 256
"""Sentences that are sorted by length before they are put into batches: a choice, little padding in each."""


@dataclass(frozen=True)
class Options:
    """How texts are translated.

    Attributes:
        search: how each sentence is looked for.
        batch_size: sentences that are read and written together, of like length; 1 keeps each alone.
        split: whether lines are cut into sentences; a line that is longer than the model reads always is.
    """

    search: Search = field(default_factory=Search)
    batch_size: int = 1
    split: bool = True

    def __post_init__(self) -> None:
        """Raise UsageError for a value that has no meaning."""
        if type(self.batch_size) is not int or self.batch_size < 1:
            raise UsageError(f"batch_size is {self.batch_size}, it must be a whole number from 1")


class Translator:
    """Tokenizer, an opened encoder-decoder, and the model's own way to write.

    Call it with a text for `[{"translation_text": ...}]`, the answer of transformers' translation pipeline; with
    several for a list of `{"translation_text": ...}`.

    Attributes:
        task: the task with the model's settings.
        artifact: what is opened.
        engine: the key of the engine.
        threads: those of the engine.
        workers: texts that are translated at once.
        beside: what else is open, see `edgewright.contracts.engine.Session.beside`: nothing.
    """

    workers, beside = 1, ""

    def __init__(
        self,
        tokenizer: Tokenizer,
        model: EncoderDecoder,
        rules: Rules,
        search: Search,
        *,
        task: Task | None = None,
        prompt: str = "",
        artifact: Artifact | None = None,
        engine: str = "",
        threads: int = 0,
    ) -> None:
        self.tokenizer, self.model, self.rules, self.defaults = tokenizer, model, rules, Options(search)
        self.artifact, self.engine, self.threads = artifact, engine, threads
        self.task = task
        self._prompt, self._closed = prompt, False

    def __repr__(self) -> str:
        from edgewright.system.shown import brief

        threads = f"{self.threads} thread{'s' * (self.threads > 1)}" if self.threads else ""
        key = self.artifact.key if self.artifact else "eager"
        return brief(self, "translation", key, self.engine, threads, "closed" if self._closed else "")

    def __call__(self, texts: Any, **options: Any) -> Any:
        """Translate a text, or several; see `Options` and `Search` for the options.

        Raises:
            UsageError: an option has no meaning, the model lacks the language, or the translator is closed.
            DataError: what is given is no text.
        """
        chosen = self.options(**options)
        if isinstance(texts, str):
            return [{"translation_text": one} for one in self.translate([texts], chosen)]
        if isinstance(texts, dict) or not hasattr(texts, "__iter__"):
            raise DataError(f"a {type(texts).__name__} is no text", hint="give a text, or a list of texts")
        return [{"translation_text": one} for one in self.translate(list(texts), chosen)]

    def options(self, **given: Any) -> Options:
        """Options by name, the model's own where they are not given. Raises UsageError."""
        searching = {name: given.pop(name) for name in Search.__dataclass_fields__ if name in given}
        strangers = sorted(given.keys() - (Options.__dataclass_fields__.keys() - {"search"}))
        if strangers:
            known = sorted({*Options.__dataclass_fields__, *Search.__dataclass_fields__} - {"search"})
            raise UsageError(f"no option is called {strangers[0]}", hint=f"options are {', '.join(known)}")
        return replace(self.defaults, search=replace(self.defaults.search, **searching), **given)

    def asking(self, **options: Any) -> Translator:
        """The same model with other options for every call. Raises UsageError."""
        found = copy(self)
        found.defaults = self.options(**options)
        return found

    def row(self, text: str, options: Options | None = None) -> dict[str, Any]:
        """A text and its answer as plain JSON values: what `edgewright run` and `edgewright serve` print."""
        (answer,) = self.translate([text], options or self.defaults)
        return {"text": text, "answer": [{"translation_text": answer}]}

    def sources(self, text: str) -> list[list[int]]:
        """The token ids of the sentences of a text, as the model is given them."""
        return [ids for ids, _ in self._parts(text, split=True) if ids]

    def answered(self, items: Iterable[str]) -> list[str]:
        """The translations of texts, as the task scores them."""
        return self.translate(list(items), self.defaults)

    def translate(self, texts: Sequence[str], options: Options) -> list[str]:
        """The translations of texts. Raises what a call raises."""
        if self._closed:
            raise UsageError("the translator is closed", hint="load the bundle again")
        parts = [self._parts(text, split=options.split) for text in texts]
        wanted = [ids for text in parts for ids, _ in text if ids]
        found = iter([self._said(one) for one in self.write(wanted, options)])
        return ["".join(next(found) + after if ids else after for ids, after in text) for text in parts]

    def write(self, sources: Sequence[Sequence[int]], options: Options) -> list[Hypothesis]:
        """The tokens for sources of token ids, in batches of those of like length."""
        if options.batch_size == 1:
            return [write(self.model, [ids], options.search, self.rules)[0] for ids in sources]
        found: dict[int, Hypothesis] = {}
        for batch in _batches([len(ids) for ids in sources], options.batch_size):
            written = write(self.model, [sources[at] for at in batch], options.search, self.rules)
            found |= dict(zip(batch, written, strict=True))
        return [found[at] for at in range(len(sources))]

    def _said(self, found: Hypothesis) -> str:
        return self.tokenizer.decode(found.tokens).strip()

    def _parts(self, text: str, *, split: bool) -> list[tuple[list[int], str]]:
        """The token ids of each sentence, and the white space behind it; without ids what is only white space."""
        if not isinstance(text, str):
            raise DataError(f"a {type(text).__name__} is no text", hint="give a text, or a list of texts")
        target, text = read_target(text)
        first = [self._target(target)] if target else []
        found: list[tuple[list[int], str]] = []
        for line in text.splitlines(keepends=True):
            for whole in sentences(line) if split else [line]:
                words = whole.strip()
                before, after = whole[: len(whole) - len(whole.lstrip())], whole[len(whole.rstrip()) :] if words else ""
                found += [([], before)] if before else []
                pieces = self._fitting(words, first) if words else []
                found += [(ids, " ") for ids in pieces[:-1]] + [(ids, after) for ids in pieces[-1:]]
        return found

    def _fitting(self, words: str, first: list[int]) -> list[list[int]]:
        """The token ids of a sentence, or of its parts where it is longer than the model reads."""
        most = self.model.context
        ids = self.ids(words, first)
        if len(ids) <= most:
            return [ids]
        parts = [ids]
        share = len(words)
        while max(map(len, parts)) > most and share > 1:
            share = max(1, share // 2)
            parts = [self.ids(part.strip(), first) for part in fitting(words, share) if part.strip()]
        if max(map(len, parts)) > most:
            raise UsageError(f"{quoted(words)} has no part of at most {most} tokens", hint="the model reads no more")
        _LOG.warning("%s has %d tokens, the model reads %d: cut into %d", quoted(words), len(ids), most, len(parts))
        return parts

    def ids(self, words: str, first: Sequence[int] = ()) -> list[int]:
        """The token ids of a sentence, the source's prompt before it."""
        return [*first, *self.tokenizer.ids(self._prompt + words)]

    def _target(self, target: str) -> int:
        """The token of a language. Raises UsageError where the model has none of it."""
        vocabulary = self.tokenizer.vocabulary
        if target not in vocabulary:
            known = sorted(token for token in vocabulary if _TARGET.fullmatch(token))
            hint = f"it has {', '.join(known)}" if known else "it translates into one language: leave it out"
            raise UsageError(f"the model has no language {target}", hint=hint)
        return vocabulary[target]

    def close(self) -> None:
        """Give the model back."""
        self._closed = True
        self.model.close()

    def __enter__(self) -> Translator:  # noqa: PYI034 - typing has Self from Python 3.11 on
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_target(text: str) -> tuple[str, str]:
    """The language that a text asks for, such as `>>es<<`, "" for none, and the text without it."""
    found = _TARGET.match(text)
    return (found[1], text[found.end() :]) if found else ("", text)


def _batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Numbers of sentences of like length, at most `size` together."""
    given = iter(range(len(lengths)))
    while window := list(islice(given, max(_WINDOW, size))):
        window.sort(key=lambda at: lengths[at])
        yield from _chunks(window, size)


def _chunks(numbers: Iterable[int], size: int) -> Iterator[list[int]]:
    given = iter(numbers)
    while chunk := list(islice(given, size)):
        yield chunk
