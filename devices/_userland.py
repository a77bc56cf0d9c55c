"""The user-land that emulated boards share: Debian's aarch64 packages and the engines' wheels, unpacked side by side.

Nothing of it runs while it is made, and nothing outside the cache directory changes. Downloads stay until it is whole,
so a second try goes on where the first ended.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.devices._debian import Wanted, fetch, first_error, unpack
from edgewright.devices._programs import last_line, run_program
from edgewright.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["make_userland"]

_DEBIAN = Wanted("bookworm", "arm64", ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6", "coreutils"))
_WHEELS = (
    *("numpy==2.4.6", "tokenizers==0.23.3", "click==8.5.1", "msgspec==0.22.0"),
    *("onnxruntime==1.31.1", "ai-edge-litert==2.3.0", "ml_dtypes==0.5.4"),
)
"""Seen to run on all the CPUs; without what they depend on and no inference imports."""

_GLIBC = ("manylinux2014", "manylinux_2_17", "manylinux_2_27", "manylinux_2_28", "manylinux_2_34")
_OURS = ("var", "tmp", "home", "root")
"""Where these are missing, the board sees this machine's."""

_FETCH_S = 1800.0


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
    recipe = repr((_DEBIAN, _WHEELS, _GLIBC, _OURS))
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
    platforms = [word for glibc in _GLIBC for word in ("--platform", f"{glibc}_aarch64")]
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    argv += ["--target", str(folder), "--no-deps", "--no-compile", "--only-binary=:all:"]
    argv += [*platforms, "--python-version", "3.11", "--implementation", "cp", *_WHEELS]
    done = run_program(argv, timeout_s=_FETCH_S)
    if done.exit_code != 0:
        words = first_error(done.stderr) or last_line(done)
        hint = "run: python -m ensurepip" if "No module named pip" in words else "is there a network? run it again"
        raise DeviceError(f"pip cannot fetch the engines' wheels: {words}", hint=hint)
