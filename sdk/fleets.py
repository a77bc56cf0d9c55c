"""Bundles for systems that update fleets of boards: RAUC and Mender carry the packed bundle, edgewright installs it.

Each has a small script for the board, which runs `edgewright flash FILE local`: so the golden cases, the atomic switch
and the way back are those of every other flash. Their own programs make the files.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.bundle import MANIFEST, Bundle
from edgewright.errors import InputError, MissingExtra, StorageError, UsageError
from edgewright.files import check_free, sha256, size_of, write_whole, writing
from edgewright.packing import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Install", "export_mender", "export_rauc"]

_PACKED = "bundle.tar"
_TIMEOUT_S = 600.0

_RAUC_MANIFEST = """\
[update]
compatible={compatible}
version={version}
description=A language model, installed by edgewright

[bundle]
format=verity

[handler]
filename=install
"""

_RAUC_INSTALL = """\
#!/bin/sh
# Run by RAUC, which has checked the signature, instead of a copy into its slots.
exec edgewright {flash} < /dev/null
"""

_MENDER_MODULE = """\
#!/bin/sh
# Update module of Mender, protocol 3: /usr/share/mender/modules/v3/edgewright
set -e
before="$2/tmp/before"
case "$1" in
NeedsArtifactReboot) echo No ;;
SupportsRollback) echo Yes ;;
ArtifactInstall)
    mkdir -p "$2/tmp"
    readlink {current} > "$before" || true
    exec edgewright {flash} < /dev/null
    ;;
ArtifactRollback)
    # A flash that failed went back by itself.
    if [ -f "$before" ] && [ "$(readlink {current} || true)" != "$(cat "$before")" ]; then
        exec edgewright {rollback} < /dev/null
    fi
    ;;
esac
"""


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


def export_rauc(
    bundle: Bundle | str | Path,
    *,
    out: str | Path,
    compatible: str,
    cert: str | Path,
    key: str | Path,
    install: Install,
    force: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write a bundle for RAUC, in its verity format, whose handler installs the model.

    Args:
        bundle: a bundle or its directory.
        out: the `.raucb` file.
        compatible: what the board's system.conf says; RAUC refuses every other board.
        cert: the certificate to sign with.
        key: its private key, a file or a PKCS#11 URL.
        install: how the board installs.
        force: replace a file that is there.
        progress: called with a short phrase at each stage.

    Raises:
        BundleError: the bundle is not what its manifest says.
        StorageError: `out` exists, or cannot be written.
        MissingExtra: rauc or mksquashfs is not installed.
        InputError: rauc refuses, in its own words.
    """
    opened, target = _begun(bundle, out, install, force=force)
    _need("rauc", "rauc")
    _need("mksquashfs", "squashfs-tools")
    if not compatible.isprintable() or not compatible.strip():
        raise UsageError(f"compatible {compatible!r} cannot stand in a manifest of RAUC")
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        content, made = Path(scratch, "content"), Path(scratch, "made.raucb")
        content.mkdir()
        progress("pack")
        pack(opened, content / _PACKED)
        text = _RAUC_MANIFEST.format(compatible=compatible, version=opened.manifest.version)
        (content / "manifest.raucm").write_text(text)
        script = _RAUC_INSTALL.format(flash=install.flash(f'"$RAUC_BUNDLE_MOUNT_POINT/{_PACKED}"'))
        (content / "install").write_text(script)
        (content / "install").chmod(0o755)
        progress("sign")
        _run(["rauc", "bundle", f"--cert={cert}", f"--key={key}", str(content), str(made)])
        _place(made, target)
    return target


def export_mender(
    bundle: Bundle | str | Path,
    *,
    out: str | Path,
    device_types: Sequence[str],
    install: Install,
    name: str = "",
    key: str | Path | None = None,
    force: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Path, Path]:
    """Write an artifact for Mender and, as `OUT.module`, the update module that boards need once; gives both files.

    Args:
        bundle: a bundle or its directory.
        out: the `.mender` file.
        device_types: for which boards; Mender refuses every other.
        install: how the board installs.
        name: the artifact's name; by default `edgewright-`, the bundle's version and the beginning of its hash.
        key: a private key to sign with.
        force: replace files that are there.
        progress: called with a short phrase at each stage.

    Raises:
        BundleError: the bundle is not what its manifest says.
        StorageError: a file exists, or cannot be written.
        MissingExtra: mender-artifact is not installed.
        InputError: mender-artifact refuses, in its own words.
    """
    opened, target = _begun(bundle, out, install, force=force)
    _need("mender-artifact", "mender-artifact")
    digest = sha256(opened.directory / MANIFEST)[:12]
    name = name or f"edgewright-{opened.manifest.version}-{digest}"
    words = ["--type", "edgewright", "--artifact-name", name, "--software-name", "edgewright"]
    words += [word for kind in device_types for word in ("--device-type", kind)]
    words += ["--key", str(key)] if key else []
    module = target.with_name(f"{target.name}.module")
    if size_of(target) is None:
        raise StorageError(f"{target} is no file, so that its update module has no place beside it", hint="give a file")
    check_free(module, force=force)
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        made = Path(scratch, "made.mender")
        progress("pack")
        pack(opened, Path(scratch, _PACKED))
        progress("write")
        files = ["--file", str(Path(scratch, _PACKED)), "--output-path", str(made)]
        _run(["mender-artifact", "write", "module-image", *words, *files])
        _place(made, target)
    current = shlex.quote(f"{install.root}/current")
    flash = install.flash(f'"$2/files/{_PACKED}"')
    script = _MENDER_MODULE.format(current=current, flash=flash, rollback=install.rollback())
    write_whole(module, script.encode(), mode=0o777)
    return target, module


def _begun(bundle: Bundle | str | Path, out: str | Path, install: Install, *, force: bool) -> tuple[Bundle, Path]:
    target = Path(out)
    check_free(target, force=force)
    if not install.root.startswith("/") or not install.root.isprintable():
        raise UsageError(f"root {install.root!r} is no absolute path", hint="begin it with /")
    return bundle if isinstance(bundle, Bundle) else Bundle.open(bundle), target


def _need(program: str, package: str) -> None:
    if shutil.which(program) is None:
        raise MissingExtra(f"{program} is not installed", hint=f"run: apt install {package}")


def _run(argv: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{argv[0]} took longer than {_TIMEOUT_S:g} s and was ended") from error
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()] or ["not a word"]
        raise InputError(f"{argv[0]} ended with exit code {done.returncode}: {lines[-1]}")


def _place(made: Path, target: Path) -> None:
    """Give a finished file its place, whole or not at all. Raises StorageError."""
    with made.open("rb") as file, writing(target) as out:
        shutil.copyfileobj(file, out)
