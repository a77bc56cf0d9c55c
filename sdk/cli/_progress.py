"""Progress of many at once: a table that is drawn anew on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING

import click

from edgewright.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["live"]


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
