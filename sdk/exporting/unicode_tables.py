"""What `tokenizers` does to each code point, asked of itself: tables for a tokenizer that runs without it.

Python and every platform have Unicode tables of a version of their own, and `tokenizers` has those of several
libraries. Each table here is swept over all code points from the very component that a tokenizer uses.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import UnsupportedConversion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Normalize = Callable[[str], str]

__all__ = [
    "CODE_POINTS",
    "GRAPHEME",
    "changed",
    "combining_ranks",
    "compositions",
    "flags",
    "graphemes",
    "left_over",
    "matched",
    "separated",
]

CODE_POINTS = 0x110000
"""All that Unicode has, surrogates included, which no text holds."""
_BLOCK = 4096
"""Code points of a part: measured, a fifth of the time that one text of all takes."""
_HANGUL = range(0xAC00, 0xD7A4)
"""Syllables, which are decomposed and composed by arithmetic (The Unicode Standard, section 3.12)."""
_BETWEEN = "\n"
"""A control character: code points with it between them do not touch each other."""
_WORD_BETWEEN = "-x-"
"""What stands there for normalizers that change the control character; nothing becomes this."""
_FIRST, _LAST = "\u0334", "\u0345"
"""Marks of the least and the largest combining class, 1 and 240, which never change (Unicode's stability policy)."""


@lru_cache(maxsize=1)
def _every() -> tuple[str, ...]:
    return tuple(chr(code) for code in range(CODE_POINTS) if not 0xD800 <= code < 0xE000)


def flags(characters: str) -> NDArray[np.bool_]:
    """Which code points stand in `characters`, (0x110000,)."""
    found = np.zeros(CODE_POINTS, np.bool_)
    found[np.frombuffer(characters.encode("utf-32-le"), "<u4")] = True
    return found


def _blocks() -> Iterator[str]:
    """All of Unicode in parts: a text of a million characters is slow to take apart."""
    every = _every()
    return ("".join(every[at : at + _BLOCK]) for at in range(0, len(every), _BLOCK))


def matched(pattern: str) -> NDArray[np.bool_]:
    """Which code points a class of characters in an expression has."""
    from tokenizers import Regex
    from tokenizers.normalizers import Replace

    without = Replace(Regex(pattern), "")
    return ~flags("".join(without.normalize_str(block) for block in _blocks()))


def left_over(pre_tokenizer: Any) -> NDArray[np.bool_]:
    """Which code points a pre-tokenizer leaves, one that takes what it splits at out of the text."""
    return flags("".join(piece for block in _blocks() for piece, _ in pre_tokenizer.pre_tokenize_str(block)))


def separated(pre_tokenizer: Any, before: str = "a") -> NDArray[np.bool_]:
    """Which code points a pre-tokenizer does not leave in one piece with a character that stands before them."""
    apart = []
    for block in _blocks():
        joined = np.zeros(2 * len(block), np.bool_)
        for _, (start, end) in pre_tokenizer.pre_tokenize_str("".join(before + one for one in block)):
            joined[start : end - 1] = True
        apart += [one for one, kept in zip(block, joined[::2].tolist(), strict=True) if not kept]
    return flags("".join(apart))


def _each(normalize: Normalize, texts: Sequence[str]) -> list[str]:
    """Texts that do not touch each other through a normalizer, all at once where it leaves what is between them."""
    for between in (_BETWEEN, _WORD_BETWEEN):
        made = normalize(between.join(texts)).split(between)
        if len(made) == len(texts):
            return made
    return [normalize(text) for text in texts]


def changed(normalize: Normalize) -> dict[int, str]:
    """Code points that a normalizer changes where they stand alone, and what they become."""
    every = [one for one in _every() if one != _BETWEEN]
    found = {ord(one): new for one, new in zip(every, _each(normalize, every), strict=True) if one != new}
    alone = normalize(_BETWEEN)
    return found if alone == _BETWEEN else {**found, ord(_BETWEEN): alone}


def combining_ranks(nfd: Normalize) -> dict[int, int]:
    """Code points that canonical ordering moves, and their order: 1 for the least class, then 2 and so on."""
    marks = sorted(
        _moved(nfd, [one + _FIRST for one in _every()], 0) | _moved(nfd, [_LAST + one for one in _every()], 1)
    )
    lower = [len(_moved(nfd, [chr(mark) + chr(other) for other in marks], 1)) for mark in marks]
    ranks = {count: rank for rank, count in enumerate(sorted(set(lower)), 1)}
    return {mark: ranks[count] for mark, count in zip(marks, lower, strict=True)}


def _moved(nfd: Normalize, pairs: Sequence[str], which: int) -> set[int]:
    """Of the pairs that change places, the code points at `which`."""
    made = _each(nfd, pairs)
    return {ord(pair[which]) for pair, new in zip(pairs, made, strict=True) if new == pair[::-1] != pair}


def compositions(nfc: Normalize, decomposed: dict[int, str]) -> dict[tuple[int, int], int]:
    """Pairs of code points that canonical composition makes one of; Hangul is left to arithmetic."""
    found = {}
    for code, parts in decomposed.items():
        if code in _HANGUL or len(parts) == 1 or nfc(chr(code)) != chr(code):
            continue
        first = nfc(parts[:-1])
        if len(first) != 1 or nfc(first + parts[-1]) != chr(code):
            raise UnsupportedConversion(f"U+{code:04X} is not composed of two code points")
        found[ord(first), ord(parts[-1])] = code
    return found


_ROLES = (
    "control",
    "extend",
    "prepend",
    "pictograph",
    "l",
    "v",
    "t",
    "lv",
    "lvt",
    "consonant",
    "linker",
    "between",
    "pictured",
)
"""What a code point does in a cluster; between a linker, or a pictograph, and what it is joined to stand two kinds."""
GRAPHEME = {name: 1 << bit for bit, name in enumerate(_ROLES)}
"""Those roles as bits; the clusters are those of Unicode Standard Annex 29, rules GB3 to GB11."""


def graphemes() -> NDArray[np.uint16]:
    """The bits of GRAPHEME for each code point, as the clusters of `normalizers.Precompiled` show them, (0x110000,).

    That normalizer replaces a cluster of at most five bytes as a whole. A map from every first byte to one character
    therefore counts clusters, and single characters in longer ones.
    """
    from tokenizers.normalizers import Precompiled

    normalize: Normalize = Precompiled(_counting_map()).normalize_str

    def count(before: str, after: str) -> NDArray[np.int64]:
        found = np.zeros(CODE_POINTS, np.int64)
        for block in _blocks():
            every = block.replace("\r", "").replace(_BETWEEN, "")  # which are one cluster
            made = normalize(before + f"{after}{_BETWEEN}{before}".join(every) + after)
            usual = made.find(_BETWEEN)
            if made == _BETWEEN.join(["x" * usual] * len(every)):  # as in nearly all blocks
                found[ord(every[0]) : ord(every[-1]) + 1] = usual
            else:
                found[[ord(one) for one in every]] = [len(new) for new in made.split(_BETWEEN)]
        return found

    extend, prepend = count("a", "") == 1, count("", "a") == 1
    control = count("", "\u0300\u0301") == 2
    plain, long = ~(extend | prepend | control), np.arange(CODE_POINTS) >= _FOUR_BYTES
    after_l, after_v, after_t = ((count(jamo, "\u0300") == 3) & plain & ~long for jamo in _JAMO)
    before_l, before_v, before_t = ((count("", f"{jamo}\u0300") == 3) & plain for jamo in _JAMO)
    v = np.where(long, before_v, after_v & ~after_t)
    t = np.where(long, before_t & ~before_v, after_t)
    jamo_l = after_l & before_l & ~v
    lv = after_l & before_v & ~v & ~jamo_l
    lvt = after_l & ~(v | jamo_l | lv | t)
    found = {
        "control": control,
        "extend": extend,
        "prepend": prepend,
        "pictograph": (count("\u00a9\u200d", "\u0300") == 4) & plain,
        "l": jamo_l,
        "v": v,
        "t": t,
        "lv": lv,
        "lvt": lvt,
        "consonant": (count("", "\u094d\u0915\u0300") == 4) & plain,
        "linker": (count("\u0915", "\u0915\u0300") == 4) & extend,
        "between": (count("\u0915\u094d", "\u0915\u0300") == 5) & extend,
        "pictured": (count("\u00a9", "\u200d\u00a9\u0300") == 5) & extend,
    }
    made = np.zeros(CODE_POINTS, np.uint16)
    for name, set_ in found.items():
        made |= np.where(set_, GRAPHEME[name], 0).astype(np.uint16)
    made[[ord("\r"), ord(_BETWEEN)]] = GRAPHEME["control"]
    return made


_JAMO = "\u1100\u1160\u11a8"
"""A leading consonant, a vowel and a trailing consonant of Hangul, three bytes each."""
_FOUR_BYTES = 0x10000
"""From here on a code point has four bytes, and is a cluster of five with no mark."""


def _counting_map() -> bytes:
    """A precompiled character map of sentencepiece, in which every byte but the separator begins a key for `x`.

    Its trie is a double array of darts-clone: a unit has a label in its low byte, bit 8 says that a value follows, and
    the offset to its children stands from bit 10 on.
    """
    units = [0] * 1024
    units[0] = 256 << 10
    for byte in range(1, 256):
        if byte != ord(_BETWEEN):
            units[256 ^ byte] = byte | 1 << 8 | 512 << 10
            units[256 ^ byte ^ 512] = 1 << 31
    trie = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(trie)) + trie + b"x\0"
