"""What the exports for fleets' updaters share."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.bundle.bundle import Bundle
from edgewright.errors import InputError, MissingExtra, UsageError
from edgewright.system.files import check_free
from edgewright.system.programs import run_to_end

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PACKED", "Install", "begin", "need", "run"]

PACKED = "bundle.tar"

_TIMEOUT_S = 600.0
"""A choice: the updater compresses a bundle of gigabytes in minutes, and one that waits for input is ended."""


@dataclass(frozen=True)
class Install:
    """How the board installs: where its releases are, and whether a service shall serve them."""

    root: str
    service: bool = False

    def flash(self, file: str) -> str:
        """The words for a shell, with `file` as it stands."""
        return f"flash {file} local --root {shlex.quote(self.root)}{' --service' if self.service else ''} --quiet"

    def rollback(self) -> str:
        """The words for a shell."""
        return f"rollback local --root {shlex.quote(self.root)} --quiet"


def begin(bundle: Bundle | str | Path, out: str | Path, install: Install, *, force: bool) -> tuple[Bundle, Path]:
    """The opened bundle and the file to make. Raises StorageError, UsageError and what `Bundle.open` raises."""
    target = Path(out)
    check_free(target, force=force)
    if not install.root.startswith("/") or not install.root.isprintable():
        raise UsageError(f"root {install.root!r} is no absolute path", hint="begin it with /")
    return Bundle.of(bundle), target


def need(program: str, package: str) -> None:
    """Raise MissingExtra where a program is not installed."""
    if shutil.which(program) is None:
        raise MissingExtra(f"{program} is not installed", hint=f"run: apt install {package}")


def run(argv: Sequence[str]) -> None:
    """Run an updater's own program. Raises InputError: it failed, or took too long."""
    try:
        done = run_to_end(argv, timeout_s=_TIMEOUT_S)
    except TimeoutError as error:
        raise InputError(str(error)) from error
    if done.code:
        said = done.lines[-1] if done.lines else "not a word"
        raise InputError(f"{argv[0]} ended with exit code {done.code}: {said}")
