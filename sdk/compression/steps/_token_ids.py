"""The token ids that a model's own files name: config.json and generation_config.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["named_ids", "renumber"]

_ENDING = "_token_id"
"""Of every key that names a token, or a list of some: eos_token_id, decoder_start_token_id, forced_bos_token_id."""
_TOKENS = ("suppress_tokens", "begin_suppress_tokens")
"""Lists of tokens of transformers' generation."""
_WORDS = "bad_words_ids"
"""Words that never come, each a list of tokens."""


def named_ids(config: Any) -> set[int]:
    """The tokens that must stay, as the model needs them to begin, to end or to fill up."""
    named = (value for key, value in _said(config) if key.endswith(_ENDING))
    every = (one for value in named for one in (value if isinstance(value, list) else [value]))
    return {one for one in every if type(one) is int}


def renumber(config: Any, new: Mapping[int, int]) -> None:
    """Write the new number of every token that a configuration of transformers names; what is gone is named no more."""
    for key, value in _said(config):
        if key.endswith(_ENDING) and type(value) is int:
            setattr(config, key, new.get(value))
        elif (key.endswith(_ENDING) or key in _TOKENS) and isinstance(value, list):
            setattr(config, key, [new[one] for one in value if one in new])
        elif key == _WORDS and isinstance(value, list):
            setattr(config, key, [[new[one] for one in word] for word in value if all(one in new for one in word)])


def _said(config: Any) -> list[tuple[str, Any]]:
    return list(config.to_dict().items()) if config is not None else []
