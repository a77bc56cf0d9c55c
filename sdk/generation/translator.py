"""A loaded encoder-decoder that translates: a text in, its translation out, line by line and sentence by sentence.

    with edgewright.load("tr") as translator:
        translator("Turn on the lights")    # [{'translation_text': 'Enciende las luces'}]

Lines and the white space around sentences stay as they are. Each sentence is translated alone, unless `batch_size` asks
for several at once; one that a glossary has terms for is searched for by itself.
"""

from __future__ import annotations

import math
import re
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from edgewright.errors import DataError, EdgewrightError, UsageError, quoted
from edgewright.generation.beams import Search, write
from edgewright.generation.flags import flags
from edgewright.generation.forced import write_forced
from edgewright.generation.glossary import Glossary
from edgewright.system.notices import log
from edgewright.text.sentences import fitting, sentences
from edgewright.text.tags import around_tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from edgewright.bundle.manifest import Artifact
    from edgewright.contracts.encoder_decoder import EncoderDecoder
    from edgewright.generation.beams import Hypothesis, Rules
    from edgewright.generation.shortlist import Shortlist
    from edgewright.tasks import Task
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["Options", "Sentence", "Translation", "Translator", "read_target"]

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
        glossary: source terms and what stands for them in a translation, see `edgewright.generation.forced`.
        keep_tags: whether markup, placeholders and addresses stay where they are, and what is between them is
            translated apart.
        details: whether an answer has `score`, the mean log probability of its tokens, `flags`
            (`edgewright.generation.flags`), and both of each of its `sentences`.
    """

    search: Search = field(default_factory=Search)
    batch_size: int = 1
    split: bool = True
    glossary: Mapping[str, str] | None = None
    keep_tags: bool = False
    details: bool = False

    def __post_init__(self) -> None:
        """Raise UsageError for a value that has no meaning."""
        if type(self.batch_size) is not int or self.batch_size < 1:
            raise UsageError(f"batch_size is {self.batch_size}, it must be a whole number from 1")
        for name in ("split", "keep_tags", "details"):
            if type(getattr(self, name)) is not bool:
                raise UsageError(f"{name} is {getattr(self, name)!r}, it must be True or False")

    @cached_property
    def terms(self) -> Glossary:
        """The glossary. Raises DataError for what is none."""
        return Glossary(self.glossary or {})


@dataclass(frozen=True)
class Sentence:
    """A sentence that was translated.

    Attributes:
        score: the mean log probability of its tokens, NaN where no details were asked.
        flags: what looks wrong with it, see `edgewright.generation.flags`; `terms` where one of a glossary is missing.
    """

    source: str
    text: str
    score: float = math.nan
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Translation:
    """A text that was translated, with its sentences in their order."""

    text: str
    sentences: tuple[Sentence, ...] = ()

    def answer(self, *, details: bool) -> dict[str, Any]:
        """What a call gives, as plain JSON values."""
        if not details:
            return {"translation_text": self.text}
        scores = [one.score for one in self.sentences]
        found = {flag: None for one in self.sentences for flag in one.flags}
        rows = [
            {"source": one.source, "translation": one.text, "score": one.score, "flags": list(one.flags)}
            for one in self.sentences
        ]
        score = sum(scores) / len(scores) if scores else None
        return {"translation_text": self.text, "score": score, "flags": list(found), "sentences": rows}


@dataclass(frozen=True)
class _Part:
    """A sentence or a piece of one with its token ids, and what stands behind it; without ids that alone."""

    words: str
    ids: list[int]
    after: str


class Translator:
    """Tokenizer, an opened encoder-decoder, and the model's own way to write.

    Call it with a text for `[{"translation_text": ...}]`, the answer of transformers' translation pipeline; with
    several for a list of `{"translation_text": ...}`.

    Attributes:
        task: the task with the model's settings.
        artifact: what is opened.
        engine: the key of the engine.
        threads: those of the engine.
        shortlist: what translations are held to, None for nothing; not those that a glossary has terms for.
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
        shortlist: Shortlist | None = None,
    ) -> None:
        self.tokenizer, self.model, self.rules, self.defaults = tokenizer, model, rules, Options(search)
        self.artifact, self.engine, self.threads = artifact, engine, threads
        self.task, self.shortlist = task, shortlist
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
        if isinstance(texts, dict) or not hasattr(texts, "__iter__"):
            raise DataError(f"a {type(texts).__name__} is no text", hint="give a text, or a list of texts")
        several = [texts] if isinstance(texts, str) else list(texts)
        return [one.answer(details=chosen.details) for one in self.translations(several, chosen)]

    def stream(self, text: str, **options: Any) -> Iterator[str]:
        """The translation of a text in pieces, each sentence as soon as it is there. Raises what a call raises."""
        chosen = self.options(**options)
        for part in self._parts(text, chosen):
            (sentence,) = self._sentences([part], chosen) if part.ids else (None,)
            yield (sentence.text if sentence else "") + part.after

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
        chosen = options or self.defaults
        (found,) = self.translations([text], chosen)
        return _row(text, found, chosen)

    def rows(self, texts: Iterable[str], options: Options) -> Iterator[dict[str, Any]]:
        """As `row`, of several: as many are read before the first is given as sentences are written at once.

        Raises what a call raises, where the row of the text would come.
        """
        given = iter(texts)
        while several := list(islice(given, options.batch_size)):
            yield from self._together(several, options) if len(several) > 1 else [self.row(several[0], options)]

    def _together(self, texts: Sequence[str], options: Options) -> Iterator[dict[str, Any]]:
        try:
            found = self.translations(texts, options)
        except EdgewrightError:  # of one of them; those before it have their answers
            yield from (self.row(text, options) for text in texts)
            return
        for text, one in zip(texts, found, strict=True):
            yield _row(text, one, options)

    def sources(self, text: str) -> list[list[int]]:
        """The token ids of the sentences of a text, as the model is given them."""
        return [part.ids for part in self._parts(text, self.defaults) if part.ids]

    def answered(self, items: Iterable[str]) -> list[str]:
        """The translations of texts, as the task scores them."""
        return self.translate(list(items), self.defaults)

    def translate(self, texts: Sequence[str], options: Options) -> list[str]:
        """The translations of texts. Raises what a call raises."""
        return [one.text for one in self.translations(texts, options)]

    def translations(self, texts: Sequence[str], options: Options) -> list[Translation]:
        """The same with their sentences."""
        every = [self._parts(text, options) for text in texts]
        found = iter(self._sentences([part for parts in every for part in parts if part.ids], options))
        return [_joined(parts, found) for parts in every]

    def _sentences(self, parts: Sequence[_Part], options: Options) -> list[Sentence]:
        """What comes of parts with token ids: those that a glossary has terms for each by itself."""
        asked = [options.terms.asked(part.words) for part in parts]
        plain = iter(self.write([part.ids for part, terms in zip(parts, asked, strict=True) if not terms], options))
        found = []
        for part, terms in zip(parts, asked, strict=True):
            written = self._forced(part.ids, terms, options.search) if terms else next(plain)
            found.append(self._told(part.words, written, terms, options))
        return found

    def _forced(self, ids: list[int], terms: Sequence[str], search: Search) -> Hypothesis:
        tokens = tuple(tuple(self.tokenizer.ids(term, special=False)) for term in terms)
        return write_forced(self.model, ids, search, self.rules, tuple(one for one in tokens if one))

    def _told(self, words: str, written: Hypothesis, terms: Sequence[str], options: Options) -> Sentence:
        text = self.tokenizer.decode(written.tokens).strip()
        if not options.details:
            return Sentence(words, text)
        lost = any(term not in text for term in terms)
        score = written.score * float(len(written.tokens) ** (options.search.length_penalty - 1))
        return Sentence(words, text, score, (*flags(words, text), *(("terms",) if lost else ())))

    def write(self, sources: Sequence[Sequence[int]], options: Options) -> list[Hypothesis]:
        """The tokens for sources of token ids, in batches of those of like length."""
        more: Any = {"scored": options.details, "shortlist": self.shortlist}
        if options.batch_size == 1:
            return [write(self.model, [ids], options.search, self.rules, **more)[0] for ids in sources]
        found: dict[int, Hypothesis] = {}
        for batch in _batches([len(ids) for ids in sources], options.batch_size):
            written = write(self.model, [sources[at] for at in batch], options.search, self.rules, **more)
            found |= dict(zip(batch, written, strict=True))
        return [found[at] for at in range(len(sources))]

    def _parts(self, text: str, options: Options) -> list[_Part]:
        """The sentences of a text, and the white space and the tags between them."""
        if self._closed:
            raise UsageError("the translator is closed", hint="load the bundle again")
        if not isinstance(text, str):
            raise DataError(f"a {type(text).__name__} is no text", hint="give a text, or a list of texts")
        target, text = read_target(text)
        first = [self._target(target)] if target else []
        found: list[_Part] = []
        for line in text.splitlines(keepends=True):
            for piece, tag in around_tags(line) if options.keep_tags else [(line, False)]:
                wholes = [] if tag else sentences(piece) if options.split else [piece]
                found += [_Part("", [], piece)] if tag else []
                found += [part for whole in wholes for part in self._of_sentence(whole, first)]
        return found

    def _of_sentence(self, whole: str, first: list[int]) -> list[_Part]:
        """A sentence, in several parts where the model reads no more at once, and the white space around it."""
        words = whole.strip()
        if not words:
            return [_Part("", [], whole)]
        before, after = whole[: len(whole) - len(whole.lstrip())], whole[len(whole.rstrip()) :]
        pieces = self._fitting(words, first)
        parts = [_Part(piece, ids, " ") for piece, ids in pieces[:-1]]
        parts += [_Part(piece, ids, after) for piece, ids in pieces[-1:]]
        return [_Part("", [], before), *parts] if before else parts

    def _fitting(self, words: str, first: list[int]) -> list[tuple[str, list[int]]]:
        """A sentence with its token ids, or its parts where it is longer than the model reads."""
        most = self.model.context
        ids = self.ids(words, first)
        if len(ids) <= most:
            return [(words, ids)]
        parts = [(words, ids)]
        share = len(words)
        while _longest(parts) > most and share > 1:
            share = max(1, share // 2)
            pieces = [part.strip() for part in fitting(words, share) if part.strip()]
            parts = [(piece, self.ids(piece, first)) for piece in pieces]
        if _longest(parts) > most:
            raise UsageError(f"{quoted(words)} has no part of at most {most} tokens", hint="the model reads no more")
        log("generation").warning(
            "%s has %d tokens, the model reads %d: cut into %d", quoted(words), len(ids), most, len(parts)
        )
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


def _row(text: str, found: Translation, options: Options) -> dict[str, Any]:
    return {"text": text, "answer": [found.answer(details=options.details)]}


def _joined(parts: Sequence[_Part], found: Iterator[Sentence]) -> Translation:
    """The parts of a text together, each with what was found for it."""
    of_text = [next(found) if part.ids else None for part in parts]
    text = "".join((one.text if one else "") + part.after for one, part in zip(of_text, parts, strict=True))
    return Translation(text, tuple(one for one in of_text if one))


def _longest(parts: Sequence[tuple[str, list[int]]]) -> int:
    return max(len(ids) for _, ids in parts)


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
