"""Terms that a translation shall hold: which of them a sentence asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from edgewright.errors import DataError, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["MOST_TERMS", "Glossary", "agreed"]

MOST_TERMS = 10_000
"""A choice: a dictionary of a trade; the pattern of them all is kept in memory."""


@dataclass(frozen=True)
class Glossary:
    """Source terms and what stands for each in a translation.

    Attributes:
        terms: by the source's term; upper and lower case are the same there.
    """

    terms: Mapping[str, str]

    def __post_init__(self) -> None:
        """Raise DataError for what is no glossary."""
        if not hasattr(self.terms, "items") or len(self.terms) > MOST_TERMS:
            what = f"{len(self.terms)} terms, at most {MOST_TERMS} fit" if hasattr(self.terms, "items") else "no terms"
            raise DataError(f"a glossary has {what}", hint='it is {"playlist": "lista de reproducci\u00f3n"}')
        for source, target in self.terms.items():
            if not (isinstance(source, str) and isinstance(target, str) and source.strip() and target.strip()):
                raise DataError(f"the glossary's {quoted(str(source))} stands for nothing", hint="give both terms")
        agreed(self.terms.items())

    @cached_property
    def _known(self) -> dict[str, str]:
        return {source.strip().lower(): target.strip() for source, target in self.terms.items()}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest = sorted(self._known, key=len, reverse=True)
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)", re.IGNORECASE)

    def asked(self, sentence: str) -> tuple[str, ...]:
        """The target terms of a sentence, each once: of overlapping source terms the longest."""
        if not self._known:
            return ()
        found = (self._known.get(match.group().lower()) for match in self._pattern.finditer(sentence))
        return tuple(dict.fromkeys(target for target in found if target))


def agreed(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Source terms and what stands for each, as they are given. Raises DataError where one stands for two."""
    found: dict[str, str] = {}
    known: dict[str, str] = {}
    for source, target in pairs:
        other = known.setdefault(source.strip().lower(), target.strip())
        if other != target.strip():
            what = f"the glossary's {quoted(source)} stands for {quoted(other)} and for {quoted(target)}"
            raise DataError(what, hint="leave one of them; upper and lower case are the same there")
        found[source] = target
    return found
