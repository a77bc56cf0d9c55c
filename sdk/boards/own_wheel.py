"""The edgewright that runs here, as files for a board: its own copy, or a wheel with the same bytes every time.

A wheel is written by hand here (the binary distribution format of packaging.python.org): of one package it takes the
rooms that a board uses, which no build backend does.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import importlib.util
import re
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright._version import __version__
from edgewright.errors import MissingExtra, UsageError
from edgewright.system.licences import own_licences

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["board_wheel", "copy_package", "digest_of", "own_wheel"]

_ROOMS = ("converters", "runtimes", "devices")
_AT_HOME = ("analysis", "builder", "compression", "converters", "exporting", "searching", "training")
"""What no board does: nothing that runs there imports them (docs/architecture.md has the rooms)."""
_EXTRAS = (
    "chat",
    "constrained",
    "executorch",
    "litert",
    "onnx",
    "parquet",
    "tensorrt",
    "tflite-runtime",
    "torch",
)
"""Of the package's extras those that bring something to what its part for boards does."""
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The first date that a zip file can say: the same files make the same bytes."""
_NAME = f"edgewright-{__version__}-py3-none-any.whl"
_HEAD = f"Metadata-Version: 2.1\nName: edgewright\nVersion: {__version__}\n"


def copy_package(folder: Path) -> None:
    """Put the package that runs here below `folder`; its rooms may lie elsewhere, as in a checkout."""
    for name in ("edgewright", *(f"edgewright.{room}" for room in _ROOMS)):
        spec = importlib.util.find_spec(name)
        if spec is None:
            what = f"this edgewright is a board's part alone, without {name}, and cannot be copied"
            raise MissingExtra(what, hint="do it on a workstation, or install the whole of edgewright")
        if not spec.submodule_search_locations:
            raise UsageError(f"{name} is no directory here and cannot be copied", hint="give a wheel with --wheel")
        leave = [*_ROOMS] if name == "edgewright" else []
        ignored = shutil.ignore_patterns("__pycache__", *leave)
        shutil.copytree(
            spec.submodule_search_locations[0], folder / name.replace(".", "/"), ignore=ignored, dirs_exist_ok=True
        )


def digest_of(folder: Path) -> str:
    """Twelve digits that tell what files, with which bytes, lie below a directory."""
    digest = hashlib.sha256()
    for path in _files(folder):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(folder)} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:12]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def own_wheel(out: Path) -> tuple[str, Path]:
    """A wheel of what a board needs of the package that runs here, below `out`, and the digest of its files.

    It lacks the rooms that make models and artifacts, a third of the bytes; a command that wants one says so there. The
    same package gives the same wheel, which is made once. Raises UsageError, OSError.
    """
    with tempfile.TemporaryDirectory() as scratch:
        digest = digest_of(_copy_part(Path(scratch)))
        made = out / digest / _NAME
        if not made.is_file():
            made.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=made.parent) as beside:  # others may be at it
                _pack(Path(scratch), Path(beside, made.name), {"METADATA": _HEAD}).replace(made)
    return digest, made


def board_wheel(out: Path | str) -> Path:
    """Write the wheel of the board's part alone, for somebody who installs it there himself with pip.

    It has the rooms that `own_wheel` has, and besides the command `edgewright`, the licence, the package's dependencies
    and those of its extras that serve there: `pip install 'edgewright-VERSION-py3-none-any.whl[onnx]'`.

    Args:
        out: the directory for it; the file has the name that pip wants. One that is there is replaced.

    Raises:
        UsageError: `out` is empty, or the package that runs here is no directory, or was never installed.
        MissingExtra: it is a board's part itself.
        OSError: the directory cannot be written.
    """
    if not str(out):
        raise UsageError("no directory was given for the wheel", hint="for example --out for-the-board")
    try:
        known = importlib.metadata.distribution("edgewright")
    except importlib.metadata.PackageNotFoundError:
        hint = "install the package that runs here: pip install edgewright"
        raise UsageError("edgewright is not installed here: its dependencies are not known", hint=hint) from None
    needs = [one for one in known.requires or () if _serves_there(one)]
    about = known.metadata
    licence = about["License-Expression"] if "License-Expression" in about else about["License"]  # before version 2.4
    given = [f"License: {licence}", f"Requires-Python: {about['Requires-Python']}"]
    given += [f"Provides-Extra: {one}" for one in _EXTRAS]
    metadata = "".join([_HEAD, *(f"{line}\n" for line in [*given, *(f"Requires-Dist: {one}" for one in needs)])])
    commands = "[console_scripts]\nedgewright = edgewright.__main__:main\n"
    made = Path(out) / _NAME
    with tempfile.TemporaryDirectory() as scratch:
        part = _copy_part(Path(scratch))
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made.parent) as beside:
            files = {"METADATA": metadata, "entry_points.txt": commands, **own_licences()}
            _pack(part, Path(beside, made.name), files).replace(made)
    return made


def _serves_there(requirement: str) -> bool:
    """Whether a `Requires-Dist` is of no extra, or of one that serves on a board."""
    extra = re.search(r"""extra\s*==\s*['"]([^'"]+)""", requirement)
    return not extra or extra[1] in _EXTRAS


def _copy_part(folder: Path) -> Path:
    """Put what a board needs of the package that runs here below `folder`, and give that."""
    copy_package(folder)
    for room in _AT_HOME:
        shutil.rmtree(folder / "edgewright" / room)
    return folder


def _pack(folder: Path, out: Path, about: Mapping[str, str]) -> Path:
    """Zip a package up with what makes it a wheel, and files `about` it."""
    info = f"edgewright-{__version__}.dist-info"
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in _files(folder)}
    files |= {f"{info}/{name}": text.encode() for name, text in about.items()}
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: edgewright\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    rows = [f"{name},{_hash(data)},{len(data)}\n" for name, data in files.items()]
    files[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return out


def _hash(data: bytes) -> str:
    """A hash as RECORD files have it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
