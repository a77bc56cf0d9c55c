"""How a model's own files say that it generates: the tokens that end an answer, and how tokens are drawn."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from edgewright.errors import SourceError, UnsupportedConversion, UsageError
from edgewright.generation.beams import Rules, Search
from edgewright.generation.sampling import Sampling
from edgewright.system.files import read_capped
from edgewright.system.untrusted import MAX_JSON_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FILE", "Defaults", "translation_defaults"]

FILE = "generation_config.json"


@dataclass(frozen=True)
class Defaults:
    """Of a model.

    Attributes:
        ends: ids of the tokens that end an answer, any of them.
        sampling: how tokens are chosen where nothing else is asked.
    """

    ends: frozenset[int]
    sampling: Sampling

    @classmethod
    def of(cls, directory: Path) -> Defaults:
        """What generation_config.json says, and where it says nothing config.json. Raises SourceError."""
        own, model = _read(directory / FILE), _read(directory / "config.json")
        ends = own.get("eos_token_id", model.get("eos_token_id"))
        listed = ends if isinstance(ends, list) else [ends]
        with _of_file(directory):
            sampling = Sampling.of(own)
        return cls(frozenset(end for end in listed if type(end) is int), sampling)


_KEPT: dict[str, tuple[Any, ...]] = {
    "do_sample": (False,),
    "repetition_penalty": (1.0,),
    "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "num_beam_groups": (1,),
    "forced_bos_token_id": (),
    "suppress_tokens": ([],),
}
"""Of what changes a translation and is not carried out, the values that change nothing; null is always one."""


def translation_defaults(directory: Path, context: int) -> tuple[Rules, Search]:
    """How an encoder-decoder's own files say that it writes, its answers at most `context` tokens long.

    Raises:
        SourceError: they do not say which token a text begins after, or which ends one.
        UnsupportedConversion: an option that changes what is written and is not carried out.
    """
    model = _read(directory / "config.json")
    own = _read(directory / FILE) or model  # as in transformers, where the one takes the place of the other
    for key, harmless in _KEPT.items():
        if own.get(key) is not None and own[key] not in harmless:
            what = f"{key} {own[key]} of {directory / FILE} is not carried out"
            raise UnsupportedConversion(what, hint="take it out of the file if it changes no translation")
    ids = {**model, **{name: value for name, value in own.items() if value is not None}}
    end, start = ids.get("eos_token_id"), ids.get("decoder_start_token_id", ids.get("bos_token_id"))
    ends = frozenset(one for one in (end if isinstance(end, list) else [end]) if type(one) is int)
    if type(start) is not int or not ends:
        hint = "save its generation_config.json beside config.json"
        if not model.get("is_encoder_decoder"):
            hint = f"as {model.get('model_type', 'it')} is no encoder-decoder, name the task that it was made for"
        raise SourceError(f"{directory} names no decoder_start_token_id or no eos_token_id", hint=hint)
    forced = own.get("forced_eos_token_id")
    rules = Rules(
        start, ends, _banned(own), forced if type(forced) is int else None, own.get("renormalize_logits") is True
    )
    given = {name: own[name] for name in ("num_beams", "length_penalty", "early_stopping") if own.get(name) is not None}
    with _of_file(directory):
        search = Search(**given, max_new_tokens=context)
    return rules, search


@contextmanager
def _of_file(directory: Path) -> Iterator[None]:
    """Settings are made of a model's own file. Raises SourceError for one that has no meaning."""
    try:
        yield
    except UsageError as error:
        raise SourceError(f"{directory / FILE}: {error}", hint="mend it, or take it out") from error


def _banned(own: dict[str, Any]) -> tuple[int, ...]:
    """The tokens that never come. Raises UnsupportedConversion for sequences of several."""
    listed = own.get("bad_words_ids") or []
    if not isinstance(listed, list) or not all(_is_one(words) for words in listed):
        what = "bad_words_ids with words of several tokens are not carried out"
        raise UnsupportedConversion(what, hint="those of Marian models are one token each")
    return tuple(words[0] for words in listed)


def _is_one(words: Any) -> bool:
    return isinstance(words, list) and len(words) == 1 and type(words[0]) is int


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = msgspec.json.decode(read_capped(path, MAX_JSON_BYTES, SourceError))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise SourceError(f"{path} cannot be read: {error}") from error
    return found if isinstance(found, dict) else {}
