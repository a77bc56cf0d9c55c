"""Texts -> token numbers as bytes, each word tokenized once: two to four times as fast as the tokenizer, and the same.

A tokenizer that cuts texts into words itself gives a word the same tokens wherever it stands. With GPT-2's rule, and
that of the Unigram which is trained here, a word always begins at a single blank between two characters that are none,
so that texts may be cut there; what a word came to is remembered. A tokenizer of another rule gets the text whole.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import TokenizerError
from edgewright.system.files import read_capped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["WordCache", "type_of"]

_MOST_WORDS = 1 << 20
"""Words remembered: a choice, some 200 MB; then it begins anew."""
_MOST_BYTES = 1 << 28
"""A choice: tokenizer.json of the largest vocabularies have some 30 MB."""
_GAP = re.compile(r"(?<=\S) (?=\S)")


def type_of(largest: int) -> str:
    """The type of numbers up to `largest`: `<u2` or `<u4`."""
    return "<u2" if largest < 2**16 else "<u4"


class WordCache:
    """Encodes texts with the tokenizer of a directory.

    Attributes:
        type: of the numbers, `<u2` or `<u4`.
        by_word: whether texts are cut at blanks.

    Raises:
        TokenizerError: there is no tokenizer.json, or it does not load.
    """

    def __init__(self, directory: Path) -> None:
        from tokenizers import Tokenizer as Backend

        path = directory / "tokenizer.json"
        try:
            data = read_capped(path, _MOST_BYTES, TokenizerError)
            self._backend = Backend.from_buffer(data)
        except TokenizerError:
            raise
        except Exception as error:  # the library raises whatever it likes
            raise TokenizerError(f"{path} does not load: {error}") from error
        self._backend.no_padding()
        self._backend.no_truncation()
        self._backend.encode_special_tokens = True  # a text that spells one is a text
        self.type = type_of(max(self._backend.get_vocab().values(), default=0))
        blank = _blank_of(json.loads(data))
        self.by_word = blank is not None
        self._words = _Words(self._tokens, blank or "")

    def encode(self, text: str) -> bytes:
        """The numbers of the tokens of a text, without special ones, one after the other."""
        if not self.by_word:
            return self._tokens(text)
        first, *words = _GAP.split(text)
        if len(self._words) > _MOST_WORDS:
            self._words.clear()
        return self._tokens(first) + b"".join(map(self._words.__getitem__, words))

    def _tokens(self, text: str) -> bytes:
        return np.array(self._backend.encode(text, add_special_tokens=False).ids, self.type).tobytes()


class _Words(dict[str, bytes]):
    """What each word came to behind a blank; a new one is tokenized."""

    def __init__(self, tokens: Callable[[str], bytes], blank: str) -> None:
        super().__init__()
        self._tokens, self._blank = tokens, blank

    def __missing__(self, word: str) -> bytes:
        found = self[word] = self._tokens(f"{self._blank}{word}")
        return found


def _blank_of(tree: Any) -> str | None:
    """What stands before a word that is tokenized alone; None for a tokenizer whose words do not begin at blanks."""
    rule, before = tree.get("pre_tokenizer") or {}, tree.get("normalizer")
    if not all(token.get("special") for token in tree.get("added_tokens") or ()):
        return None
    if rule.get("type") == "ByteLevel" and not before:
        return " " if rule.get("use_regex", True) and not rule.get("add_prefix_space") else None
    if rule.get("type") == "Metaspace" and before == {"type": "Prepend", "prepend": " "}:
        return "" if rule.get("split", True) and rule.get("prepend_scheme") == "never" else None  # it is prepended
    return None
