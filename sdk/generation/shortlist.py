"""Which tokens the translation of a sentence can need: the head of a model is then a product with these alone.

A table has for each token of a source those that stood beside it in translations, as Marian's lexical shortlists and
ctranslate2's `vmap` have (Jean et al. 2015, arXiv 1412.2007). A sentence's candidates are those of its tokens, those
tokens themselves, which are copied names and numbers, and some that every sentence has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np

from edgewright.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.generation.beams import Rules

__all__ = ["FILE", "Shortlist"]

FILE = "shortlist.npz"
"""Of a bundle."""
_MOST_BYTES = 1 << 28
"""Of an array, unpacked: a hundred tokens for each of the 256,000 of NLLB-200 are 102 MB."""


@dataclass(frozen=True, eq=False)
class Shortlist:
    """The table.

    Attributes:
        starts: int32 (vocabulary + 1,): where the tokens for each token of a source begin in `tokens`.
        tokens: int32 (n,): those of token 0, of token 1, and so on.
        always: int32 (m,): those that every sentence has.
    """

    starts: NDArray[np.int32]
    tokens: NDArray[np.int32]
    always: NDArray[np.int32]
    _common: dict[Rules, NDArray[np.bool_]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Raise BundleError for what is no such table."""
        parts = self.starts, self.tokens, self.always
        if any(part.ndim != 1 or part.dtype != np.int32 for part in parts) or len(self.starts) < 2:
            raise BundleError(f"{FILE} is no table of tokens", hint="build the bundle again")
        both = np.concatenate([self.tokens, self.always, [0]])
        known = bool(((both >= 0) & (both < self.vocabulary)).all())
        rising = self.starts[0] == 0 and self.starts[-1] == len(self.tokens) and bool((np.diff(self.starts) >= 0).all())
        if not rising or not known:
            what = f"{FILE} has {len(self.tokens)} tokens for {self.vocabulary}, in no order or of another vocabulary"
            raise BundleError(what, hint="build the bundle again")

    @property
    def vocabulary(self) -> int:
        """How many tokens a source and a translation are made of."""
        return len(self.starts) - 1

    def of(self, source: Sequence[int], rules: Rules) -> NDArray[np.int64]:
        """The candidates of a sentence of token ids, int64 (candidates,), rising, with what ends a text."""
        if rules not in self._common:
            self._common[rules] = self._of_all(rules)
        wanted, starts = self._common[rules].copy(), self.starts
        for token in source:
            wanted[self.tokens[starts[token] : starts[token + 1]]] = True
            wanted[token] = True
        wanted[list(rules.banned)] = False
        return np.flatnonzero(wanted)

    def _of_all(self, rules: Rules) -> NDArray[np.bool_]:
        """Whether each token is a candidate of every sentence."""
        found = np.zeros(self.vocabulary, bool)
        found[self.always] = True
        found[[*rules.ends, *(() if rules.forced is None else (rules.forced,))]] = True
        return found

    def packed(self) -> bytes:
        """As a file of a bundle has it; `read` gives an equal one, and equal tables have equal bytes."""
        out = BytesIO()
        np.savez_compressed(out, starts=self.starts, tokens=self.tokens, always=self.always)
        return out.getvalue()

    @classmethod
    def read(cls, path: Path) -> Shortlist:
        """The table in a file, whose hash has been checked. Raises BundleError for what is none."""
        try:
            with ZipFile(path) as archive:
                starts, tokens, always = (_array(archive, f"{name}.npy") for name in ("starts", "tokens", "always"))
        except Exception as error:  # of a dozen kinds, as of any torn archive
            what = f"{path} is no table of tokens: {type(error).__name__}: {error}"
            raise BundleError(what, hint="build the bundle again") from error
        return cls(starts, tokens, always)


def _array(archive: ZipFile, name: str) -> NDArray[Any]:
    """An array of an archive, of which no more is unpacked than a table can have."""
    with archive.open(name) as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"{name} unpacks to more than {_MOST_BYTES >> 20} MiB")
    array: NDArray[Any] = np.load(BytesIO(data), allow_pickle=False)
    return array
