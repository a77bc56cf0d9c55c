"""How a file writes the labels of its rows, decided once for all of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgewright.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Labels"]


@dataclass(frozen=True)
class Labels:
    """A model's labels, and the way in which rows name them.

    Attributes:
        names: of the model, in order.
        by_name: whether rows may name them; a name may differ in case and in the spaces around it.
        by_number: whether rows may number them from 0; 1.0 is 1, which pandas makes of it beside a missing value.
        vectors: whether several labels are a 0 or 1 for each of the model's.
    """

    names: tuple[str, ...]
    by_name: bool = True
    by_number: bool = True
    vectors: bool = False

    @classmethod
    def either(cls, names: Sequence[str]) -> Labels:
        """For rows that no file decides about: a name where it is one, else a number."""
        return cls(tuple(names))

    @classmethod
    def of(cls, names: Sequence[str], given: Sequence[Any], *, several: bool) -> Labels:
        """As a file with these distinct labels writes them.

        They are vectors where each is a list of as many 0 and 1 as there are labels; names where each is one, or most
        are; else numbers.
        """
        found = cls(tuple(names))
        if several:
            lists = [_listed(one) for one in given]
            if lists and all(_is_vector(one, len(names)) for one in lists):
                return replace(found, vectors=True)
            given = [label for one in lists for label in one]
        named = sum(found._named(one) is not None for one in given)
        numbered = sum(found._numbered(one) is not None for one in given)
        return replace(found, by_name=named >= numbered, by_number=named < numbered)

    def one(self, given: Any) -> int:
        """The number of a label. Raises DataError."""
        found = self._named(given) if self.by_name else None
        if found is None and self.by_number:
            found = self._numbered(given)
        if found is None:
            raise DataError(f"label {given!r} {self._wrong(given)}")
        return found

    def several(self, given: Any) -> frozenset[int]:
        """The numbers of several labels. Raises DataError."""
        found = _listed(given)
        if not self.vectors:
            return frozenset(self.one(one) for one in found)
        if not _is_vector(found, len(self.names)):
            raise DataError(
                f"label {given!r} is no vector of {len(self.names)} times 0 or 1, as others of the file are"
            )
        return frozenset(at for at, one in enumerate(found) if float(one))

    def _wrong(self, given: Any) -> str:
        """What is wrong with a label, in words."""
        if self._named(given) is not None:
            return "is a name, where most of the file are numbers"
        if self._numbered(given) is not None:
            return "is a number, where most of the file are names"
        return f"is none of {', '.join(self.names)} or 0..{len(self.names) - 1}"

    def _named(self, given: Any) -> int | None:
        if isinstance(given, bool) or not isinstance(given, (str, int)):
            return None
        name = str(given)
        if name in self.names:
            return self.names.index(name)
        like = [at for at, own in enumerate(self.names) if own.strip().casefold() == name.strip().casefold()]
        return like[0] if len(like) == 1 else None

    def _numbered(self, given: Any) -> int | None:
        if isinstance(given, bool):
            return None
        whole = str(given).strip().removesuffix(".0")
        return int(whole) if whole.isdecimal() and len(whole) < 10 and int(whole) < len(self.names) else None


def _listed(given: Any) -> list[Any]:
    """Several labels as a list: of a text the names between commas, or the JSON list that it is."""
    if isinstance(given, list):
        return given
    words = str(given)
    if words.lstrip().startswith("["):
        try:
            found = json.loads(words)
        except ValueError:
            found = None
        if isinstance(found, list):
            return found
    return [word.strip() for word in words.split(",") if word.strip()]


def _is_vector(given: Sequence[Any], length: int) -> bool:
    return len(given) == length and all(str(one) in ("0", "1", "0.0", "1.0") for one in given)
