"""The user-land that emulated boards share: Debian's aarch64 packages and the engines' wheels, unpacked side by side.

Nothing is installed, nothing of it runs while it is made, and nothing outside the cache directory changes. apt checks
Debian's signature; its downloads stay until the user-land is whole, so a second try goes on where the first ended.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.devices._programs import find_program, last_line, run_program
from edgewright.errors import DeviceError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["make_userland"]

_SUITE = "bookworm"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_PACKAGES = ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6", "coreutils")
_WHEELS = (
    *("numpy==2.4.6", "tokenizers==0.23.3", "click==8.5.1", "msgspec==0.22.0"),
    *("onnxruntime==1.31.1", "ai-edge-litert==2.3.0", "ml_dtypes==0.5.4"),
)
"""Seen to run on all the CPUs; without what they depend on, which no inference imports."""

_GLIBC = ("manylinux2014", "manylinux_2_17", "manylinux_2_27", "manylinux_2_28", "manylinux_2_34")
_FETCH_S = 1800.0
_HOST = "it is made on Debian or a system derived from it: apt install"


def make_userland(cache: Path, mirror: str, progress: Callable[[str], None]) -> Path:
    """The directory of the user-land; made where it is not there yet.

    Args:
        cache: where it is kept.
        mirror: a mirror of Debian; by default the one that this machine's apt uses.
        progress: called with a short phrase at each stage.

    Raises:
        DeviceError: a program is missing, or a download failed.
        StorageError: the disk is full or read-only.
    """
    recipe = "\n".join((_SUITE, *_PACKAGES, *_WHEELS, *_GLIBC))
    made = cache / f"{_SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if made.is_dir():
        return made
    for part in cache.glob(".part-*"):  # of one that was interrupted: who is here holds the lock
        shutil.rmtree(part, ignore_errors=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=cache))
    try:
        packages = _fetch(cache / "downloads", mirror, progress)
        _unpack(packages, part / "root", progress)
        _wheels(part / "wheels", progress)
        part.chmod(0o755)
        part.rename(made)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(cache / "downloads", ignore_errors=True)
    return made


def _fetch(folder: Path, mirror: str, progress: Callable[[str], None]) -> list[Path]:
    """Debian's packages and all that they need, as files; apt goes on with what is there."""
    apt = find_program("apt-get", f"{_HOST} apt")
    if not Path(_KEYRING).is_file():
        raise DeviceError(f"{_KEYRING} is not there, which tells Debian's packages from others'", hint=_keyring_hint())
    source = mirror or _mirror(apt)
    for name in ("lists/partial", "archives/partial", "etc"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    (folder / "etc" / "sources.list").write_text(f"deb [arch=arm64 signed-by={_KEYRING}] {source} {_SUITE} main\n")
    argv = [apt, *_settings(folder)]
    progress(f"Debian's list of packages, from {source}")
    _tell([*argv, "update"], source)
    progress("Debian's packages")
    _tell([*argv, "install", "--yes", "--download-only", *_PACKAGES], source)
    return sorted((folder / "archives").glob("*.deb"))


def _keyring_hint() -> str:
    return f"{_HOST} debian-archive-keyring"


def _settings(folder: Path) -> list[str]:
    """Give apt a state in which nothing is installed; proxies stay as this machine has them."""
    given = {
        "Dir::State": folder,
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "Dir::Cache::archives": folder / "archives",
        "Dir::Etc::sourcelist": folder / "etc" / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Debug::NoLocking": "true",
    }
    return [word for name, value in given.items() for word in ("-o", f"{name}={value}")]


def _mirror(apt: str) -> str:
    """The mirror of Debian that this machine's apt uses."""
    keys = "$(ORIGIN) $(LABEL) $(REPO_URI)"
    done = run_program([apt, "indextargets", "--format", keys, "Created-By: Packages"], timeout_s=60)
    lines = [line.split() for line in done.stdout.decode(errors="replace").splitlines()]
    found = next((words[2] for words in lines if words[:2] == ["Debian", "Debian"] and len(words) == 3), "")
    if not found:
        hint = "run apt update, or name a mirror of Debian with --mirror URL"
        raise DeviceError("this machine's apt knows no mirror of Debian", hint=hint)
    return found


def _tell(argv: Sequence[str], source: str) -> None:
    done = run_program(argv, timeout_s=_FETCH_S, env={**os.environ, "LC_ALL": "C"})
    if done.exit_code != 0:
        hint = "is there a network? what has arrived is kept; another mirror is named with --mirror URL"
        raise DeviceError(f"apt cannot fetch from {source}: {_error(done.stderr) or last_line(done)}", hint=hint)


def _error(stderr: bytes) -> str:
    """The first error of apt or pip: what follows is advice."""
    lines = stderr.decode(errors="replace").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(("E:", "ERROR:"))), "")


def _unpack(packages: Sequence[Path], root: Path, progress: Callable[[str], None]) -> None:
    """Each package's files, as dpkg would lay them down; its scripts are not run."""
    dpkg, tar = (find_program(name, f"{_HOST} dpkg tar") for name in ("dpkg-deb", "tar"))
    root.mkdir()
    progress(f"unpack {len(packages)} packages")
    for package in packages:
        with subprocess.Popen([dpkg, "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as reader:
            argv = [tar, "--extract", "--keep-directory-symlink", "--no-same-owner", "--directory", str(root)]
            done = subprocess.run(argv, stdin=reader.stdout, stderr=subprocess.PIPE, check=False)
        if done.returncode or reader.returncode:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            raise StorageError(f"cannot unpack {package.name}: {words[-1] if words else 'it is damaged'}")
    for name in ("var", "tmp", "home", "root"):  # where these are missing, the board sees this machine's
        shutil.rmtree(root / name, ignore_errors=True)


def _wheels(folder: Path, progress: Callable[[str], None]) -> None:
    progress("the engines' wheels")
    platforms = [word for glibc in _GLIBC for word in ("--platform", f"{glibc}_aarch64")]
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    argv += ["--target", str(folder), "--no-deps", "--no-compile", "--only-binary=:all:"]
    argv += [*platforms, "--python-version", "3.11", "--implementation", "cp", *_WHEELS]
    done = run_program(argv, timeout_s=_FETCH_S)
    if done.exit_code != 0:
        words = _error(done.stderr) or last_line(done)
        hint = "run: python -m ensurepip" if "No module named pip" in words else "is there a network? run it again"
        raise DeviceError(f"pip cannot fetch the engines' wheels: {words}", hint=hint)
