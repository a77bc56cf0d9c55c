"""How a Python is started so that no file in the working directory becomes code of ours.

`python -m` and `python -c` put that directory first on the import path, before the standard library. From 3.11 on `-P`
and the variable PYTHONSAFEPATH say that they shall not; an older Python is started by `-c`, whose first statement takes
the entry off again. Where the version is not known both are given: 3.13 imports linecache before that statement, and no
older one knows `-P`. `python -`, a program on standard input, imports nothing before its first line in any version.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DROP", "environment", "here", "line", "started", "there"]

DROP = "import sys; sys.path[:] = [path for path in sys.path if path]; "
"""For the beginning of a program: to `-c` and `-` the working directory is the empty entry. sys is part of Python."""

_RUN = DROP + "import runpy; runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"


def here(module: str, *words: str) -> list[str]:
    """The argument vector of a module with `words`, by the Python that runs this."""
    if hasattr(sys.flags, "safe_path"):  # from 3.11 on
        return [sys.executable, "-P", "-m", module, *words]
    return there(sys.executable, module, *words)


def there(python: str, module: str, *words: str) -> list[str]:
    """As `here`, by a Python of any version from 3.9 on; it is to be started with `environment`."""
    return [python, "-c", _RUN, module, *words]


def line(python: str, code: str, *words: str) -> list[str]:
    """As `there`, of some code."""
    return [python, "-c", DROP + code, *words]


def environment(argv: Sequence[str]) -> dict[str, str] | None:
    """The variables for `argv`: this process's own, in which None, as to subprocess, stands for no change."""
    ours = list(argv[1:2]) == ["-c"] and argv[2].startswith(DROP)
    return {**os.environ, "PYTHONSAFEPATH": "1"} if ours else None


def started(argv: Sequence[str]) -> tuple[str, list[str]]:
    """The module that an argument vector starts, and its words; "" where it starts none."""
    words = list(argv[1:])
    for how in (["-m"], ["-P", "-m"], ["-c", _RUN]):
        if words[: len(how)] == how:
            return words[len(how)], words[len(how) + 1 :]
    return "", []
