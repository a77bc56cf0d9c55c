"""Wheels for another platform, fetched by this machine's pip: what inference imports, and no more."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
import threading
import zipfile
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.errors import DeviceError, StorageError, UsageError, one_line
from edgewright.system.files import home, sha256
from edgewright.system.interpreter import here

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

__all__ = ["ENGINES", "MACHINES", "PYTHONS", "Platform", "Wheel", "cache_dir", "download", "pip", "requirements"]

_BASE = ("numpy", "tokenizers", "click", "msgspec", "jinja2", "markupsafe")
"""The last two are for templates of chats: 0.2 MB, and a board that was flashed with a writer can be talked to."""
ENGINES = {"onnx": ("onnxruntime",), "litert": ("ai-edge-litert", "ml_dtypes")}
"""What each extra needs beside the base; without what it depends on and no inference imports."""

_PINS = {
    "numpy": "2.4.6",
    "tokenizers": "0.23.3",
    "click": "8.5.1",
    "msgspec": "0.22.0",
    "jinja2": "3.1.6",
    "markupsafe": "3.0.4",
    "onnxruntime": "1.31.1",
    "ai-edge-litert": "2.3.0",
    "ml_dtypes": "0.5.4",
}
"""Seen to run together on emulated Raspberry Pis."""

_OLDER = {"3.10": {"numpy": "2.2.6", "onnxruntime": "1.23.2"}}
"""The last ones for an older Python."""

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
MACHINES = ("aarch64", "x86_64")
_OLDEST_GLIBC, _BEFORE = 17, {"manylinux2014": 17}
"""2.17: the oldest for which the engines have wheels, and its name before PEP 600."""
_FETCH_S = 1800.0
"""A choice: 200 MB at a megabit a second take 1600."""
_one_fetches = threading.Lock()


@dataclass(frozen=True)
class Platform:
    """What decides which wheels run on a machine: Python's version, the processor's architecture, glibc's version."""

    python: str
    machine: str
    glibc: str

    def check(self) -> None:
        """Raise DeviceError where no engine has wheels for it."""
        if self.python not in PYTHONS:
            what = f"the board's Python is {self.python}, edgewright runs on {PYTHONS[0]} to {PYTHONS[-1]}"
            raise DeviceError(what, hint="name another one there with --python")
        if self.machine not in MACHINES:
            what = f"no engine has wheels for {self.machine}, there are some for {' and '.join(MACHINES)}"
            raise DeviceError(what, hint="install a system of 64 bits on the board")
        if not self.glibc.startswith("2."):
            raise DeviceError("the board has no glibc, and engines have wheels for no other C library")

    def words(self) -> list[str]:
        """Options of pip for wheels of this platform."""
        newest = int(self.glibc.split(".")[1])
        tags = [f"manylinux_2_{minor}" for minor in range(newest, _OLDEST_GLIBC - 1, -1)]
        tags += [tag for tag, minor in _BEFORE.items() if minor <= newest]
        platforms = [word for tag in tags for word in ("--platform", f"{tag}_{self.machine}")]
        return [*platforms, "--python-version", self.python, "--implementation", "cp", "--only-binary=:all:"]


@dataclass(frozen=True)
class Wheel:
    """A wheel on this machine, and what it takes where it is unpacked."""

    path: Path
    sha256: str
    size_bytes: int
    unpacked_bytes: int
    files: int

    @classmethod
    def of(cls, path: Path) -> Wheel:
        """Look at a wheel. Raises StorageError: it cannot be read, or is no wheel."""
        try:
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
            sizes = sum(entry.file_size for entry in entries)
            return cls(path, sha256(path), path.stat().st_size, sizes, len(entries))
        except (OSError, zipfile.BadZipFile) as error:
            raise StorageError(f"{path} is no wheel: {error}", hint="remove it and run it again") from error


def requirements(engines: Collection[str], python: str) -> tuple[str, ...]:
    """What pip is asked for, for a version of Python and some of `ENGINES`. Raises UsageError."""
    strange = sorted(set(engines) - set(ENGINES))
    if strange:
        raise UsageError(f"no engine {strange[0]!r} is installed on boards", hint=f"choose from {', '.join(ENGINES)}")
    names = [*_BASE, *(name for extra, names in ENGINES.items() if extra in engines for name in names)]
    pins = {**_PINS, **_OLDER.get(python, {})}
    return tuple(f"{name}=={pins[name]}" for name in names)


def cache_dir() -> Path:
    """Where fetched wheels are kept: `$XDG_CACHE_HOME/edgewright/wheels`, by default below `~/.cache`."""
    return home("XDG_CACHE_HOME", ".cache") / "edgewright" / "wheels"


def download(wanted: Sequence[str], platform: Platform, progress: Callable[[str], None]) -> list[Path]:
    """The wheels of some requirements for a platform, from the cache where they are there; each has a pinned hash.

    Raises:
        DeviceError: pip cannot fetch them, or one is not the file that is pinned; it is removed.
        StorageError: the disk is full or read-only.
    """
    key = hashlib.sha256(repr((sorted(wanted), platform)).encode()).hexdigest()[:12]
    made = cache_dir() / f"{platform.machine}-{platform.python}-{key}"
    try:
        with _one_fetches:  # several boards may want the same
            if not made.is_dir():
                made.parent.mkdir(parents=True, exist_ok=True)
                progress(f"fetch wheels for {platform.machine}, Python {platform.python}")
                _fetch(wanted, platform, made)
        return [_pinned(path) for path in sorted(made.glob("*.whl"))]
    except OSError as error:
        raise StorageError(
            f"cannot keep wheels in {made}: {error.strerror or error}", hint="free some space"
        ) from error


def _pinned(path: Path) -> Path:
    """A wheel that a board will execute. Raises DeviceError where it is another one than when these pins were made."""
    want, found = _hashes().get(path.name), sha256(path)
    if found == want:
        return path
    shutil.rmtree(path.parent, ignore_errors=True)
    what = f"SHA-256 {found[:12]}…, {want[:12]}… is pinned" if want else "no pinned hash"
    hint = "it was removed; run it again, and look at the index that pip asks (pip config list)"
    raise DeviceError(f"{path.name} has {what}, and is not sent to be executed", hint=hint)


@cache
def _hashes() -> dict[str, str]:
    """SHA-256 of wheels by their names: `tools/wheel_hashes.py` writes them."""
    found: dict[str, str] = json.loads(resources.files("edgewright.boards").joinpath("wheel_hashes.json").read_text())
    return found


def _fetch(wanted: Sequence[str], platform: Platform, made: Path) -> None:
    with tempfile.TemporaryDirectory(dir=made.parent, prefix=".part-") as scratch:
        part = Path(scratch, "wheels")
        pip(["download", "--no-deps", "--dest", str(part), *platform.words(), *wanted])
        try:
            part.rename(made)
        except OSError:
            if not made.is_dir():  # another process was faster
                raise
            shutil.rmtree(part)


def pip(words: Sequence[str]) -> None:
    """Run this Python's pip. Raises DeviceError, in pip's own words."""
    argv = here("pip", words[0], "--quiet", "--disable-pip-version-check", "--no-input", *words[1:])
    try:
        done = subprocess.run(argv, capture_output=True, timeout=_FETCH_S, check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"pip took longer than {_FETCH_S:g} s", hint="is there a network? run it again") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").splitlines()
        first = next((line.partition(":")[2] for line in lines if line.startswith("ERROR:")), "")
        said = one_line(first or next((line for line in reversed(lines) if line.strip()), "not a word"), 300)
        hint = "run: python -m ensurepip" if "No module named pip" in said else "is there a network? run it again"
        raise DeviceError(f"pip cannot fetch the engines' wheels: {said}", hint=hint)
