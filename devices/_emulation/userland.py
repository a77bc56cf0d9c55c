"""The user-land that emulated boards share: Debian's aarch64 packages and the engines' wheels, unpacked side by side.

Nothing of it runs while it is made, and nothing outside the cache directory changes. Downloads stay until it is whole,
so a second try goes on where the first ended.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.boards.wheels import ENGINES, Platform, pip, requirements
from edgewright.devices._emulation.debian import Wanted, fetch, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["make_userland"]

_DEBIAN = Wanted("bookworm", "arm64", ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6", "coreutils"))
_PLATFORM = Platform("3.11", "aarch64", "2.36")
_WHEELS = requirements(tuple(ENGINES), _PLATFORM.python)
_OURS = ("var", "tmp", "home", "root")
"""Where these are missing, the board sees this machine's."""


def make_userland(cache: Path, mirror: str, progress: Callable[[str], None]) -> Path:
    """The directory of the user-land; made where it is not there yet, by one that is alone in `cache`.

    Args:
        cache: where it is kept.
        mirror: a mirror of Debian; by default the one that this machine's apt uses.
        progress: called with a short phrase at each stage.

    Raises:
        DeviceError: a program is missing, or a download failed.
        StorageError: the disk is full or read-only.
    """
    recipe = repr((_DEBIAN, _WHEELS, _PLATFORM, _OURS))
    made = cache / f"{_DEBIAN.suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if made.is_dir():
        return made
    for part in cache.glob(".part-*"):  # of one that was interrupted
        shutil.rmtree(part, ignore_errors=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=cache))
    try:
        packages = fetch(_DEBIAN, cache / "downloads", mirror, progress)
        progress(f"unpack {len(packages)} packages")
        unpack(packages, part / "root")
        for name in _OURS:
            shutil.rmtree(part / "root" / name, ignore_errors=True)
        _wheels(part / "wheels", progress)
        part.chmod(0o755)
        part.rename(made)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(cache / "downloads", ignore_errors=True)
    return made


def _wheels(folder: Path, progress: Callable[[str], None]) -> None:
    progress("the engines' wheels")
    pip(["install", "--target", str(folder), "--no-deps", "--no-compile", *_PLATFORM.words(), *_WHEELS])
