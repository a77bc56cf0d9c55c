"""Tokens -> text as they come: whole characters, and together exactly what decoding all tokens at once gives.

A token may be a part of a character, a space may belong to the word after it, and bytes that form no character are
only known as such when their run has ended; so a piece is held back until what follows cannot change it. The same
holds for what may be the beginning of a stop string.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["TextStream"]

_UNKNOWN = "\ufffd"
"""What decoders give for bytes that form no character, or not yet."""
_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>\Z")
"""A token of one byte, as sentencepiece names it: a run of them is decoded as one."""

_CONTEXT = 8
"""Tokens before the text that are decoded with it: a word and its neighbours."""


class TextStream:
    """The text of tokens that come one by one.

    Args:
        decode: token ids -> text, special tokens left out.
        name: a token id -> the token as the vocabulary has it.
        stops: strings that end the text; it is cut before the first of them.
        after: the token ids of what the text follows: a word that begins it keeps its space.

    Attributes:
        stopped: the stop string that was found, or "".
    """

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        name: Callable[[int], str],
        stops: Sequence[str] = (),
        after: Sequence[int] = (),
    ) -> None:
        self._decode, self._name, self._stops = decode, name, tuple(stop for stop in stops if stop)
        self._ids = self._beginning(after)
        self._shown = decode(self._ids) if self._ids else ""  # the text of `_ids` up to `_told`
        self._told = len(self._ids)
        self._held = ""  # text that may be the beginning of a stop string
        self.stopped = ""

    def push(self, token: int) -> str:
        """The text that a token lets out, often "" or more than its own."""
        if self.stopped:
            return ""
        self._ids.append(token)
        if _BYTE.match(self._name(token)) or not self._decode([token]):
            return ""  # a special token ends no run of bytes: it is left out, and they are decoded as one
        text = self._decode(self._ids)
        if text.endswith(_UNKNOWN):
            return ""
        piece = text[len(self._shown) :]
        self._forget(text)
        return self._without_stop(piece, last=False)

    def finish(self) -> str:
        """What was held back, when no token comes any more."""
        if self.stopped:
            return ""
        piece = self._decode(self._ids)[len(self._shown) :] if self._told < len(self._ids) else ""
        self._told = len(self._ids)
        return self._without_stop(piece, last=True)

    def _beginning(self, after: Sequence[int]) -> list[int]:
        """The last tokens of `after` that end with a whole character, [] where there are none.

        Nor with a byte, such as the line break of a prompt to Llama: more of them would be decoded with it as one run.
        """
        for end in range(len(after), 0, -1):
            kept = list(after[max(0, end - _CONTEXT) : end])
            if not _BYTE.match(self._name(kept[-1])) and not self._decode(kept).endswith(_UNKNOWN):
                return kept
        return []

    def _forget(self, text: str) -> None:
        """Keep as context only the tokens since the last call that gave text: the next one is decoded after them."""
        start, self._told = self._told, len(self._ids)
        kept = self._decode(self._ids[start:])
        if start and kept:
            self._ids, self._told, text = self._ids[start:], len(self._ids) - start, kept
        self._shown = text

    def _without_stop(self, piece: str, *, last: bool) -> str:
        """What of the held text and `piece` may go out."""
        text, self._held = self._held + piece, ""
        found = min(((text.find(stop), stop) for stop in self._stops if stop in text), default=None)
        if found:
            self.stopped = found[1]
            return text[: found[0]]
        if not last:
            begun = max((_overlap(text, stop) for stop in self._stops), default=0)
            if begun:
                text, self._held = text[:-begun], text[-begun:]
        return text


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text are the beginning of the stop string."""
    sizes = range(min(len(stop) - 1, len(text)), 0, -1)
    return next((size for size in sizes if text.endswith(stop[:size])), 0)
