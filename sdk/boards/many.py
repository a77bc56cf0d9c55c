"""One bundle flashed onto many boards, or raced on them, at once, each for itself: one that fails stops no other."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from edgewright.boards.connect import connect
from edgewright.boards.flash import Flashed, flash
from edgewright.boards.place import place_at
from edgewright.bundle.bundle import Bundle
from edgewright.errors import DataError, EdgewrightError, UsageError
from edgewright.measure.race import race
from edgewright.system.files import read_capped
from edgewright.system.progress import silent
from edgewright.system.shown import brief

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgewright.measure.race import Entrant
    from edgewright.system.shown import Results

__all__ = ["Outcome", "flash_all", "race_all", "read_hosts"]

_MAX_BYTES = 2**20
"""A choice: 20,000 addresses of 50 letters."""


_Done = TypeVar("_Done")


@dataclass(frozen=True)
class Outcome(Generic[_Done]):
    """What became of a board: what the flash did, or who ran in the race; or the error that it ended with."""

    url: str
    seconds: float
    done: _Done | None = None
    error: EdgewrightError | None = None

    def __repr__(self) -> str:
        done = self.done.release if isinstance(self.done, Flashed) else repr(self.done)
        what = f"{self.error.code}: {self.error.message}" if self.error else done if self.done else ""
        return brief(self, self.url, f"{self.seconds:.1f} s", what)


def read_hosts(path: str | Path) -> tuple[str, ...]:
    """The boards that a file names: one URL a line; what follows a `#` is a comment.

    Raises:
        DataError: it cannot be read, is larger than a MiB, or names none.
        UsageError: it names one twice.
    """
    try:
        data = read_capped(Path(path), _MAX_BYTES, DataError, hint="split it, and flash the boards of each part")
        lines = data.decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    found: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        url = line.partition("#")[0].strip()
        if url in found:
            raise UsageError(f"{path} names {url} twice, in lines {found[url]} and {number}", hint="remove one")
        if url:
            found[url] = number
    if not found:
        raise DataError(f"{path} names no board", hint="give one URL a line, such as ssh://pi@kitchen")
    return tuple(found)


def flash_all(
    bundle: Bundle | str | Path,
    urls: Sequence[str],
    *,
    parallel: int = 8,
    progress: Callable[[str, str], None] = silent,
    **options: Any,
) -> tuple[Outcome[Flashed], ...]:
    """Flash a bundle onto every board, `parallel` of them at a time; the outcomes in the order of `urls`.

    Args:
        bundle: a bundle or its directory.
        urls: see `edgewright.boards.connect.connect`.
        parallel: how many at once.
        progress: called with a board's URL and a short phrase at each of its stages, from several threads.
        options: see `edgewright.boards.flash.flash`.

    Raises:
        BundleError: the bundle is not what its manifest says. What goes wrong with a board is in its outcome.
    """
    opened = Bundle.of(bundle)
    return _each(lambda url, show: flash(opened, connect(url), progress=show, **options), urls, parallel, progress)


def race_all(
    bundle: Bundle | str | Path,
    urls: Sequence[str],
    *,
    root: str = "",
    python: str = "",
    parallel: int = 8,
    progress: Callable[[str, str], None] = silent,
    **options: Any,
) -> tuple[Outcome[Results[Entrant]], ...]:
    """Race a bundle's artifacts on every board on which it is active, `parallel` boards at a time.

    Nothing is written; `edgewright.measure.race.choose` takes the winners.

    Args:
        bundle: a bundle or its directory.
        urls: of the boards.
        root: where on each of them its releases are.
        python: their Python.
        parallel: how many at once.
        progress: called with a URL and a phrase.
        options: see `edgewright.measure.race.race`.
    """
    opened = Bundle.of(bundle)

    def one(url: str, show: Callable[[str], None]) -> Results[Entrant]:
        place = place_at(url, opened.directory, root=root, python=python)
        return race(opened, place=place, progress=show, **options)

    return _each(one, urls, parallel, progress)


def _each(
    step: Callable[[str, Callable[[str], None]], _Done],
    urls: Sequence[str],
    parallel: int,
    progress: Callable[[str, str], None],
) -> tuple[Outcome[_Done], ...]:
    """What a step, which takes a URL and a callback for its stages, does with every board."""

    def one(url: str) -> Outcome[_Done]:
        began, done, problem = time.monotonic(), None, None
        try:
            done = step(url, lambda phrase: progress(url, phrase))
        except EdgewrightError as error:
            problem = error
        except Exception as error:  # noqa: BLE001 - a bug met on one board must not end the others
            problem = EdgewrightError(f"{type(error).__name__}: {error}", hint="this is a bug; report it")
        progress(url, str(problem) if problem else "done")
        return Outcome(url, time.monotonic() - began, done, problem)

    pool = ThreadPoolExecutor(max(1, parallel))
    try:
        return tuple(pool.map(one, urls))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
