"""What looks wrong with a translation, told by the two texts alone: no model is asked, and a flag is no proof.

Small models leave out what they do not know, copy it, or go round in circles. The numbers are choices, held against
real pairs in tests/generation/test_flags.py: of true translations few are flagged.
"""

from __future__ import annotations

import re
from collections import Counter

from edgewright.text.tags import TAG

__all__ = ["FLAGS", "flags"]

FLAGS = {
    "numbers": "a number of the source is not there",
    "tags": "markup, placeholders or addresses are other ones",
    "not translated": "most of its words are those of the source",
    "short": "it is so short that a part seems left out",
    "long": "it is so long that something seems added",
    "repeats": "it says the same again and again",
}
"""Each flag, and what it says."""
_NUMBER = re.compile(r"\d+")
"""Digits alone: separators differ by language, 3.5 is 3,5."""
_WORD = re.compile(r"[^\W\d_]{3,}")
"""Words that may be compared: shorter ones are the same in many languages."""
_COPIED, _COPIED_WORDS = 0.75, 3
"""The part of at least so many words that may be the source's: names are, whole sentences are not."""
_SHORT, _LONG, _LEAST = 0.4, 2.5, 20
"""Of the source's characters, where the longer of the two has so many."""
_REPEATED = re.compile(r"(\w{2,9}?)\1{2,}|\b(\S.{0,40}?)(?:[\s,]+\2){2,}(?!\w)")
"""A piece of a word, or words, three times one after the other."""


def flags(source: str, translation: str) -> tuple[str, ...]:
    """The flags of a sentence and its translation, in the order of `FLAGS`."""
    plain, said = TAG.sub(" ", source), TAG.sub(" ", translation)
    lengths = len(said.strip()), len(plain.strip())
    found = {
        "numbers": bool(Counter(_NUMBER.findall(plain)) - Counter(_NUMBER.findall(said))),
        "tags": Counter(TAG.findall(source)) != Counter(TAG.findall(translation)),
        "not translated": _copied(plain, said),
        "short": max(lengths) >= _LEAST and lengths[0] < _SHORT * lengths[1],
        "long": max(lengths) >= _LEAST and lengths[0] > _LONG * lengths[1],
        "repeats": bool(_REPEATED.search(said)) and not _REPEATED.search(plain),
    }
    return tuple(name for name in FLAGS if found[name])


def _copied(source: str, translation: str) -> bool:
    words = _WORD.findall(translation.lower())
    known = set(_WORD.findall(source.lower()))
    return len(words) >= _COPIED_WORDS and sum(word in known for word in words) >= _COPIED * len(words)
