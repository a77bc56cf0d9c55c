"""Progress of many at once: a table that is drawn anew on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING

import click

from edgewright.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


__all__ = ["clear", "live", "status"]


def live(names: Sequence[str], *, quiet: bool) -> Callable[[str, str], None]:
    """A progress callback that takes a name and what it is at now; several threads may call it."""
    if quiet:
        return lambda _, __: None
    table, lock, begin = _Table(names), threading.Lock(), time.monotonic()

    def show(name: str, phrase: str) -> None:
        with lock:
            if sys.stderr.isatty():
                table.draw(name, one_line(phrase))
            else:
                click.echo(f"{time.monotonic() - begin:6.1f} s  {name}: {one_line(phrase)}", err=True)

    click.get_current_context().call_on_close(table.clear)
    return show


class _Table:
    """A line for each name, the one that moved last at the end where not all fit."""

    def __init__(self, names: Sequence[str]) -> None:
        self.states, self.drawn = dict.fromkeys(names, "waits"), 0

    def draw(self, name: str, phrase: str) -> None:
        self.states[name] = phrase
        size = shutil.get_terminal_size()
        width = max(map(len, self.states))
        rows = list(self.states.items())
        if len(rows) > size.lines - 1:
            others = [row for row in rows if row[0] != name]
            rows = [*others[: size.lines - 2], (name, phrase)]
        lines = [f"{each.ljust(width)}  {state}"[: size.columns - 1] for each, state in rows]
        click.echo(self._up() + "".join(f"\x1b[2K{line}\n" for line in lines), err=True, nl=False)
        self.drawn = len(lines)

    def _up(self) -> str:
        return f"\x1b[{self.drawn}A" if self.drawn else ""

    def clear(self) -> None:
        """Take the table off the terminal, so that what follows begins where it stood."""
        if self.drawn:
            click.echo(f"{self._up()}\x1b[J", err=True, nl=False)
            self.drawn = 0


def status(*, quiet: bool, stages: int = 0) -> Callable[[str], None]:
    """A progress callback: a line that overwrites itself on a terminal, plain lines elsewhere, nothing if quiet.

    Of steps that are counted, such as `step 12 of 600`, a line a second is printed where there is no terminal. With the
    expected number of `stages` the line begins with a bar.
    """
    if quiet:
        return lambda _: None
    begin, done, live = time.monotonic(), 0, sys.stderr.isatty()
    last, when = "", begin

    def show(phrase: str) -> None:
        nonlocal done, last, when
        stem, now = re.sub(r"[-+.\d]+", "#", phrase), time.monotonic()
        if not live and stem == last and now - when < 1:
            return
        last, when = stem, now
        line = f"{time.monotonic() - begin:6.1f} s  {phrase}"
        if live:
            line = f"\r\x1b[2K{_bar(done, stages)}{line}"[: shutil.get_terminal_size().columns + 4]
        click.echo(line, err=True, nl=not live)
        done += 1

    click.get_current_context().call_on_close(clear)
    return show


def clear() -> None:
    """Take the status line off the terminal, so that what follows begins on an empty one."""
    if sys.stderr.isatty():
        click.echo("\r\x1b[2K", err=True, nl=False)


def _bar(done: int, stages: int, width: int = 24) -> str:
    filled = min(width * done // stages, width) if stages else 0
    return f"[{'#' * filled}{'-' * (width - filled)}] " if stages else ""
