"""From a bundle of what writes to a generator, or to a translator."""

from __future__ import annotations

from numbers import Integral
from threading import Thread
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from edgewright.errors import BundleError, UsageError
from edgewright.generation.beams import Search, write
from edgewright.generation.defaults import Defaults, translation_defaults
from edgewright.generation.generator import Generator
from edgewright.generation.session import CacheSession
from edgewright.generation.shortlist import FILE as SHORTLIST
from edgewright.generation.shortlist import Shortlist
from edgewright.generation.translator import Translator
from edgewright.inference.golden import prompts, sample, written
from edgewright.system.huge_pages import give_back

if TYPE_CHECKING:
    from edgewright.bundle.bundle import Bundle
    from edgewright.bundle.manifest import Artifact
    from edgewright.contracts.decoder import Decoder
    from edgewright.contracts.engine import Runtime
    from edgewright.tasks import Task
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["generator_over", "open_generator", "open_translator", "prove_translator", "room_of", "shortlist_of"]


def open_generator(
    bundle: Bundle, artifact: Artifact, runtime: Runtime, *, threads: int, context: int | None = None
) -> Generator:
    """A generator over an artifact whose files have been checked, with a cache of at most `context` tokens.

    Raises as `room_of` does.
    """
    path = bundle.directory / artifact.path
    tokenizer = _tokenizer(bundle)
    decoder = runtime.open_decoder(path, threads=threads, context=room_of(bundle, context))
    return generator_over(bundle, artifact, tokenizer, decoder, engine=runtime.engine, threads=threads)


def room_of(bundle: Bundle, context: int | None) -> int:
    """The most tokens that a model of the bundle shall hold at once: at most as many as it was made for.

    Raises:
        UsageError: no such number of them can be.
    """
    most = bundle.manifest.settings.max_length
    given: Any = most if context is None else context
    if not isinstance(given, Integral) or given < 1:
        raise UsageError(f"context is {context!r}, it must be a whole number from 1", hint=f"the model has {most}")
    return min(int(given), most)


def generator_over(
    bundle: Bundle, artifact: Artifact, tokenizer: Tokenizer, decoder: Decoder, *, engine: str, threads: int
) -> Generator:
    """A generator over an artifact that is open already."""
    return Generator(
        tokenizer,
        CacheSession(decoder, artifact.sha256),
        Defaults.of(bundle.directory),
        directory=bundle.directory,
        artifact=artifact,
        engine=engine,
        threads=threads,
    )


def open_translator(
    bundle: Bundle, artifact: Artifact, runtime: Runtime, task: Task, *, threads: int, context: int | None = None
) -> Translator:
    """A translator over an artifact whose files have been checked, of sentences of at most `context` tokens.

    Raises as `room_of` does.
    """
    rules, search = translation_defaults(bundle.directory, bundle.manifest.settings.max_length)
    path = bundle.directory / artifact.path
    tokenizer = _tokenizer(bundle)
    shortlist = shortlist_of(bundle, artifact)
    context = room_of(bundle, context)
    model = runtime.open_encoder_decoder(path, threads=threads, context=context, narrow=shortlist is not None)
    if shortlist and shortlist.vocabulary != model.vocabulary:
        what = f"{SHORTLIST} is of {shortlist.vocabulary} tokens, {artifact.path} has {model.vocabulary}"
        raise BundleError(what, hint="build the bundle again")
    return Translator(
        tokenizer,
        model,
        rules,
        search,
        task=task,
        prompt=task.settings.prompt,
        artifact=artifact,
        engine=runtime.engine,
        threads=threads,
        shortlist=shortlist,
    )


def shortlist_of(bundle: Bundle, artifact: Artifact) -> Shortlist | None:
    """What the translations of an artifact are held to, its file checked; None where it was not proven so.

    Raises BundleError: the file is damaged.
    """
    return None if artifact.shortlist is UNSET else Shortlist.read(bundle.checked(SHORTLIST))


def _tokenizer(bundle: Bundle) -> Tokenizer:
    """The tokenizer, opened before the weights come, so that what reading its file takes is given back by then.

    In a thread glibc takes that from elsewhere than the heap, whose gaps the weights would fill: on small pages.
    """
    found: list[Tokenizer | Exception] = []

    def work() -> None:
        try:
            found.append(bundle.tokenizer())
        except Exception as error:  # noqa: BLE001 - raised below
            found.append(error)

    thread = Thread(target=work)
    thread.start()
    thread.join()
    give_back()
    (tokenizer,) = found
    if isinstance(tokenizer, Exception):
        raise tokenizer
    return tokenizer


def prove_translator(bundle: Bundle, translator: Translator, *, most: int | None = None) -> int:
    """Replay golden cases of its bundle, `most` of them or all; how many agreed.

    Raises:
        BundleError: the tokenizer gives other token ids than the recorded ones.
        GateFailed: the engine here gives other logits or tokens than it should.
    """
    artifact, model, cases = translator.artifact, translator.model, bundle.golden().cases[:most]
    assert artifact  # noqa: S101 - that of a bundle
    samples, tokens = [], []
    for case, ids in zip(cases, prompts(bundle), strict=False):
        recorded = () if case.tokens is UNSET else case.tokens.get(artifact.path, ())
        model.begin([ids])
        samples.append(sample(model.step([translator.rules.start])[0]).tolist())
        # One more than was recorded: what forces an end at the last one was not at work there
        search = Search(max_new_tokens=min(len(recorded) + 1, model.context))
        tokens.append(write(model, [ids], search, translator.rules)[0].tokens[: len(recorded)])
    written(bundle, artifact, samples, tokens)
    return len(cases)
