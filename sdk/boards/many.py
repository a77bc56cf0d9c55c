"""One bundle onto many boards at once, each for itself: one that fails stops no other."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright.boards.connect import connect
from edgewright.boards.flash import flash
from edgewright.bundle.bundle import Bundle
from edgewright.errors import DataError, EdgewrightError, UsageError
from edgewright.system.files import read_capped
from edgewright.system.progress import silent
from edgewright.system.shown import brief

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgewright.boards.flash import Flashed

__all__ = ["Outcome", "flash_all", "read_hosts"]

_MAX_BYTES = 2**20
"""A choice: 20,000 addresses of 50 letters."""


@dataclass(frozen=True)
class Outcome:
    """What became of a board: what the flash did, or the error that it ended with."""

    url: str
    seconds: float
    done: Flashed | None = None
    error: EdgewrightError | None = None

    def __repr__(self) -> str:
        what = f"{self.error.code}: {self.error.message}" if self.error else self.done.release if self.done else ""
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
) -> tuple[Outcome, ...]:
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

    def one(url: str) -> Outcome:
        began, done, problem = time.monotonic(), None, None
        try:
            done = flash(opened, connect(url), progress=lambda phrase: progress(url, phrase), **options)
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
