"""Debian packages as files: fetched by apt with a state of its own, for any suite and architecture, and unpacked.

apt checks Debian's signature. Nothing is installed, no root rights are needed, and what has arrived is kept.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.devices._ways.programs import find_program, last_line, run_program
from edgewright.errors import DeviceError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Wanted", "fetch", "first_error", "unpack"]

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_FETCH_S = 1800.0
"""A choice: some hundred megabytes of packages over a slow line."""
_HINT = "this needs Debian or a system derived from it, and there: apt install"


@dataclass(frozen=True)
class Wanted:
    """Packages of a suite, such as bookworm, for an architecture, such as arm64; with all that they depend on."""

    suite: str
    architecture: str
    packages: tuple[str, ...]


def fetch(wanted: Wanted, folder: Path, mirror: str, progress: Callable[[str], None]) -> list[Path]:
    """Packages and all that they depend on, as files below `folder`, which apt goes on with when called again.

    Raises:
        DeviceError: no apt, no keyring, no mirror known, or the download failed.
    """
    apt = find_program("apt-get", f"{_HINT} apt")
    if not Path(_KEYRING).is_file():
        what = f"{_KEYRING} is not there, by which Debian's packages are known"
        raise DeviceError(what, hint=f"{_HINT} debian-archive-keyring")
    source = mirror or _mirror(apt)
    for name in ("lists/partial", "archives/partial", "etc"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    line = f"deb [arch={wanted.architecture} signed-by={_KEYRING}] {source} {wanted.suite} main\n"
    (folder / "etc" / "sources.list").write_text(line, encoding="utf-8")
    argv = [apt, *_settings(folder, wanted.architecture)]
    progress(f"Debian's list of packages, from {source}")
    _tell([*argv, "update"], source)
    progress("Debian's packages")
    _tell([*argv, "install", "--yes", "--download-only", *wanted.packages], source)
    return sorted((folder / "archives").glob("*.deb"))


def _settings(folder: Path, architecture: str) -> list[str]:
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
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
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
        raise DeviceError(f"apt cannot fetch from {source}: {first_error(done.stderr) or last_line(done)}", hint=hint)


def first_error(stderr: bytes) -> str:
    """The first error of apt or pip: what follows is advice."""
    lines = stderr.decode(errors="replace").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(("E:", "ERROR:"))), "")


def unpack(packages: Sequence[Path], root: Path) -> None:
    """Lay down each package's files as dpkg would; its scripts are not run.

    Raises:
        DeviceError: dpkg-deb or tar is not installed.
        StorageError: a package is damaged, or the disk is full.
    """
    dpkg, tar = (find_program(name, f"{_HINT} dpkg tar") for name in ("dpkg-deb", "tar"))
    root.mkdir(parents=True)
    for package in packages:
        with subprocess.Popen([dpkg, "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as reader:
            argv = [tar, "--extract", "--keep-directory-symlink", "--no-same-owner", "--directory", str(root)]
            done = subprocess.run(argv, stdin=reader.stdout, stderr=subprocess.PIPE, check=False)
        if done.returncode or reader.returncode:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            raise StorageError(f"cannot unpack {package.name}: {words[-1] if words else 'it is damaged'}")
