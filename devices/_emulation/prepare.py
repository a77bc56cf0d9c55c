"""Making an emulated board: the shared user-land, the board's own places, and edgewright in its Python."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.boards.own_wheel import copy_package, digest_of
from edgewright.devices._emulation.boards import CPUS, PYTHON, Emulated, emulated
from edgewright.devices._emulation.userland import make_userland
from edgewright.devices._ways.programs import find_program, last_line, run_program
from edgewright.errors import DeviceError, StorageError, UsageError
from edgewright.system.files import alone, write_whole
from edgewright.system.interpreter import line

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["prepare"]

_TRY = (
    "import numpy, tokenizers, onnxruntime, ai_edge_litert.interpreter, edgewright.inference.pipeline, os; "
    "print(os.uname()[4])"
)
_TRY_S = 300.0
"""A choice: it takes some three seconds here; importing everything on a loaded machine, a hundred times that."""


def prepare(cpu: str, *, mirror: str, wheel: Path | None, progress: Callable[[str], None]) -> Emulated:
    """Make the emulated board `cpu` ready; what is there already stays. See `Qemu.prepare`."""
    spot = emulated(cpu)
    find_program("qemu-aarch64", "on Debian or Ubuntu run: apt install qemu-user")
    try:
        spot.cache.mkdir(parents=True, exist_ok=True)
        with alone(spot.cache, lambda: progress("wait for another one that prepares a board")):
            userland = make_userland(spot.cache, mirror, progress)
            before = spot.made_of()
            _places(spot, userland)
            package = _package(spot, wheel, progress)
            (spot.board / "lib" / PYTHON / "site-packages").mkdir(parents=True, exist_ok=True)
            paths = f"{userland / 'wheels'}\n{spot.board / package}\n"
            write_whole(spot.board / "lib" / PYTHON / "site-packages" / "edgewright.pth", paths.encode())
            now = {"userland": userland.name, "edgewright": package, "cores": os.cpu_count() or 1}
            if now != before:
                _try(spot, progress)
                write_whole(spot.mark, json.dumps(now).encode())
            _clean(spot, package)
    except OSError as error:
        what = f"cannot prepare an emulated {cpu} in {spot.cache}: {error.strerror or error}"
        raise StorageError(what, hint="free some space: it takes 270 MB, and 120 more while it is made") from error
    return spot


def _places(spot: Emulated, userland: Path) -> None:
    for folder in (spot.python.parent, spot.home, spot.root / "proc"):
        folder.mkdir(parents=True, exist_ok=True)
    for entry in (userland / "root").iterdir():
        link, new = spot.root / entry.name, spot.root / f".{entry.name}"
        if not link.is_symlink() or link.readlink() != entry:
            new.unlink(missing_ok=True)
            new.symlink_to(entry)
            new.replace(link)
    facts = CPUS[spot.cpu].cpuinfo(spot.cpu, os.cpu_count() or 1)
    write_whole(spot.root / "proc" / "cpuinfo", facts.encode())
    write_whole(spot.board / "pyvenv.cfg", f"home = {spot.root / 'usr' / 'bin'}\n".encode())
    script = f'#!/bin/sh\nexec {shlex.join(spot.interpreter())} "$@"\n'
    for name in ("python3", "python"):
        path = spot.python.with_name(name)
        if not path.is_file() or path.read_text() != script:
            write_whole(path, script.encode())
            path.chmod(0o755)


def _package(spot: Emulated, wheel: Path | None, progress: Callable[[str], None]) -> str:
    """Put edgewright on the board, this one or a wheel's; the name of its directory, which tells what is in it."""
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=spot.board))
    try:
        if wheel is None:
            copy_package(part)
        else:
            _open_wheel(wheel, part)
        name = f"edgewright-{digest_of(part)}"
        if not (spot.board / name).is_dir():
            progress(f"edgewright, from {'this one' if wheel is None else wheel.name}")
            part.rename(spot.board / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return name


def _open_wheel(wheel: Path, part: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(part)
    except (OSError, zipfile.BadZipFile) as error:
        raise UsageError(f"{wheel} cannot be opened: {error}", hint="give a wheel of edgewright") from error
    if not (part / "edgewright" / "__init__.py").is_file():
        raise UsageError(f"{wheel} holds no edgewright", hint="give a wheel of edgewright")


def _try(spot: Emulated, progress: Callable[[str], None]) -> None:
    progress(f"start the engines on an emulated {spot.cpu}")
    env = {**spot.environment(), "ORT_DISABLE_TELEMETRY": "1"}
    done = run_program(line(str(spot.python), _TRY), timeout_s=_TRY_S, env=env, cwd=spot.home)
    if done.exit_code != 0 or done.stdout.split() != [b"aarch64"]:
        hint = f"remove {spot.cache} and run it again; qemu 7.2 and newer are known to work"
        raise DeviceError(f"the engines do not start on the emulated {spot.cpu}: {last_line(done)}", hint=hint)


def _clean(spot: Emulated, package: str) -> None:
    """Remove earlier packages of this board, and user-lands that no board refers to any more."""
    for old in (*spot.board.glob("edgewright-*"), *spot.board.glob(".part-*")):
        if old.name != package:
            shutil.rmtree(old, ignore_errors=True)
    boards = [Emulated(cpu, spot.cache).made_of() for cpu in CPUS]
    used = {made.get("userland") for made in boards}
    for userland in spot.cache.iterdir():
        if (userland / "wheels").is_dir() and userland.name not in used:
            shutil.rmtree(userland, ignore_errors=True)
