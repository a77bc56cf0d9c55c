"""Instructions that a Python on an emulated board executes between two marks, counted by a plugin of qemu."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.contracts.transport import Tally
from edgewright.devices._ways.programs import find_program, last_line, run_program
from edgewright.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.contracts.transport import Completed
    from edgewright.devices._emulation.boards import Emulated

__all__ = ["counted"]

_SOURCE = Path(__file__).with_name("count.c")
_COMPILE_S = 120.0
"""A choice: gcc takes a second for this file; then it is stuck."""


def counted(
    spot: Emulated, argv: Sequence[str], *, timeout_s: float, stdin: bytes
) -> tuple[Completed, tuple[Tally, ...]]:
    """Run the board's Python with `argv`, at fixed addresses and hashes, and read what was counted at each mark.

    Raises:
        DeviceError: no compiler, no setarch, or a qemu without plugins.
    """
    setarch = find_program("setarch", "on Debian or Ubuntu run: apt install util-linux")
    plugin = _plugin(spot.cache)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "tallies")
        options = ("-plugin", f"{plugin},out={out}")
        line = [setarch, "-R", *spot.interpreter(*options), *argv]
        env = {**spot.environment(), "PYTHONHASHSEED": "0"}
        done = run_program(line, timeout_s=timeout_s, stdin=stdin, env=env, cwd=spot.home)
        if not out.is_file():
            hint = "Debian's and Ubuntu's qemu-user has plugins, the static one may not"
            raise DeviceError(f"qemu-aarch64 did not load the counting plugin: {last_line(done)}", hint=hint)
        return done, tuple(Tally(*map(int, row.split())) for row in out.read_text().splitlines())


def _plugin(cache: Path) -> Path:
    """The plugin, compiled for the installed qemu where it is not yet."""
    api, source = _api(), _SOURCE.read_bytes()
    made = cache / f"count-{hashlib.sha256(source).hexdigest()[:12]}-{api}.so"
    if made.is_file():
        return made
    compiler = find_program("gcc", "instructions are counted by a plugin in C: apt install gcc")
    with tempfile.TemporaryDirectory(dir=cache, prefix=".part-") as scratch:
        part = Path(scratch, made.name)
        argv = [compiler, "-O2", "-shared", "-fPIC", f"-DAPI={api}", str(_SOURCE), "-o", str(part)]
        done = run_program(argv, timeout_s=_COMPILE_S)
        if done.exit_code != 0:
            raise DeviceError(f"gcc cannot compile the counting plugin: {last_line(done)}")
        part.replace(made)
    return made


def _api() -> int:
    """The version of the plugin interface that the installed qemu speaks, after include/qemu/qemu-plugin.h there."""
    done = run_program(["qemu-aarch64", "--version"], timeout_s=60)
    found = re.search(rb"version (\d+)\.(\d+)", done.stdout)
    release = (int(found[1]), int(found[2])) if found else (0, 0)
    return 1 if release < (9, 0) else 2 if release < (9, 1) else 3
