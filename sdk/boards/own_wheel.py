"""The edgewright that runs here, as files for a board: its own copy, or a wheel with the same bytes every time."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import shutil
import tempfile
import zipfile
from pathlib import Path

from edgewright._version import __version__
from edgewright.errors import UsageError

__all__ = ["copy_package", "digest_of", "own_wheel"]

_ROOMS = ("converters", "runtimes", "devices")
_AT_HOME = ("analysis", "builder", "compression", "converters", "exporting", "searching", "training")
"""What no board does: nothing that runs there imports them (docs/architecture.md has the rooms)."""
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The first date that a zip file can say: the same files make the same bytes."""


def copy_package(folder: Path) -> None:
    """Put the package that runs here below `folder`; its rooms may lie elsewhere, as in a checkout."""
    for name in ("edgewright", *(f"edgewright.{room}" for room in _ROOMS)):
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
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
        copy_package(Path(scratch))
        for room in _AT_HOME:
            shutil.rmtree(Path(scratch, "edgewright", room))
        digest = digest_of(Path(scratch))
        made = out / digest / f"edgewright-{__version__}-py3-none-any.whl"
        if not made.is_file():
            made.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=made.parent) as beside:  # others may be at it
                _pack(Path(scratch), Path(beside, made.name)).replace(made)
    return digest, made


def _pack(folder: Path, out: Path) -> Path:
    """Zip a package up with what makes it a wheel, see the binary distribution format."""
    info = f"edgewright-{__version__}.dist-info"
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in _files(folder)}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: edgewright\nVersion: {__version__}\n".encode()
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
