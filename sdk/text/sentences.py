"""Where a text's sentences begin and end, by its punctuation: what translators are given, one by one."""

from __future__ import annotations

import re

__all__ = ["fitting", "sentences"]

_CLOSING = "\"'\u201d\u2019\u00bb)]"
"""What may stand behind a full stop: quotes and brackets."""
_END = re.compile(rf"[.!?\u2026]+[{re.escape(_CLOSING)}]*(?=\s)|[\u3002\uff01\uff1f]+[\u300d\u300f\uff09]*")
"""A full stop and its kin before white space; those of Chinese and Japanese need none."""
_WORDS = (
    "Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|Sra|Srta|Dra|Ud|Uds|Hr|Fr|Mme|Mlle|vs|cf|etc|approx|Inc|Ltd|Co|No|Nr|Nos|pp|Vol|Fig|"
    "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec"
)
_ABBREVIATION = re.compile(
    rf"(?:^|[\s(\[\"'\u201c\u2018\u00ab\u00bf\u00a1])(?:[^\W\d_]|[A-Za-z](?:\.[A-Za-z])+|{_WORDS})\.$"
)
"""Initials, and words that are written with a full stop wherever they stand."""


def sentences(line: str) -> list[str]:
    """The sentences of a line, with the white space between them; joined they are the line.

    A full stop ends no sentence behind an initial or an abbreviation, nor where the next word begins in lower case.
    """
    found, begin = [], 0
    for match in _END.finditer(line):
        rest = line[match.end() :].lstrip()
        stop = match.group().rstrip(_CLOSING) == "."
        if not rest or rest[0].islower() or (stop and _ABBREVIATION.search(line[begin : match.start() + 1])):
            continue
        end = len(line) - len(rest)
        found.append(line[begin:end])
        begin = end
    return [*found, line[begin:]] if line[begin:] else found


def fitting(text: str, fits: int) -> list[str]:
    """The text in pieces of at most `fits` characters, cut behind spaces where there are some; joined they are it."""
    found, begin = [], 0
    while len(text) - begin > fits:
        gap = text.rfind(" ", begin, begin + fits)
        end = gap + 1 if gap > begin else begin + fits
        found.append(text[begin:end])
        begin = end
    return [*found, text[begin:]]
