"""A source made plain before anything else: what transformers makes of its files, as files that everything here reads.

`tokenizer.json` becomes the one that `AutoTokenizer` runs, made of a vocabulary or a sentencepiece model where there is
none; an adapter is merged into its base; a table of static embeddings, a head of SetFit get one form. Where nothing has
to change, the directory stays the source; else a directory beside it holds what changed and links to what did not.
"""

from __future__ import annotations

import atexit
from contextlib import ExitStack
from pathlib import Path  # noqa: TC003 - msgspec reads annotations

from msgspec import Struct

from edgewright.errors import stands_for
from edgewright.system.child import Child, call
from edgewright.system.files import scratch

__all__ = ["HEAD", "SETTLE", "TABLE", "SettleAnswer", "SettleRequest", "Settled", "close", "settled"]

HEAD = "head.safetensors"
"""The linear head of a SetFit model: `weight` float32 (labels, width) and `bias` float32 (labels,)."""
TABLE = "embedding.weight"
"""The name of the table of static embeddings in model.safetensors, float32 (tokens, width)."""


class SettleRequest(Struct, frozen=True, kw_only=True):
    """Make a source plain.

    Attributes:
        directory: what the user gave.
        kind: of `edgewright.model.identify.Identity`.
        inside: where in the directory the transformer or the table lies.
        lower: whether sentence-transformers lower-cases texts first.
        out: an empty directory for what has to change.
    """

    directory: Path
    kind: str
    inside: str
    lower: bool
    out: Path


class SettleAnswer(Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        changed: whether `out` is the source now.
        positions: the most tokens that the model's table of positions has rows for, None where it has none.
        length: where `AutoTokenizer` cuts, None where it cuts nowhere.
        characters: where a text is cut before that, 0 for nowhere.
        labels: of a SetFit head.
        unread: keys of config.json that transformers' class of the model does not know.
    """

    changed: bool
    positions: int | None
    length: int | None
    characters: int = 0
    labels: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


class Settled(Struct, frozen=True):
    """The directory that everything reads, and what was found on the way there."""

    directory: Path
    answer: SettleAnswer


SETTLE = Child("edgewright.converters._model.settle:settle", SettleRequest, SettleAnswer)

_known: dict[tuple[object, ...], Settled] = {}
"""What this process settled before: a search opens the same directory many times."""
_made: list[ExitStack] = []
"""Its directories."""


def settled(directory: Path, kind: str, inside: str, preload: tuple[str, ...], *, lower: bool) -> Settled:
    """Make a source plain, in a child that has transformers.

    What had to change lies in a directory of its own until this process ends.

    Raises:
        SourceError: no tokenizer, a base that is not at hand, a head that is a pickle.
        TokenizerError: a tokenizer that no tokenizer.json can say.
        UnsupportedConversion: a setting that is not carried out.
    """
    key = (directory.resolve(), kind, inside, lower, _state(directory))
    if key not in _known:
        with ExitStack() as made:
            out = made.enter_context(scratch())
            stands_for(out, directory)
            request = SettleRequest(directory=directory.resolve(), kind=kind, inside=inside, lower=lower, out=out)
            answer = call(SETTLE, request, preload=preload)
            if answer.changed:
                _made.append(made.pop_all())
        _known[key] = Settled(out if answer.changed else directory, answer)
    return _known[key]


@atexit.register
def close() -> None:
    """Remove the directories that were made. The command line, which ends without Python's own end, calls it."""
    _known.clear()
    while _made:
        _made.pop().close()


def _state(directory: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of all files, which change with their contents."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files)
