"""Bundles for Mender, which carries the packed bundle to a fleet of boards; edgewright installs it there.

Each has a small script for the board, which runs `edgewright flash FILE local`: so the golden cases, the atomic switch
and the way back are those of every other flash. Their own programs make the files.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from edgewright.bundle.bundle import MANIFEST, Bundle
from edgewright.bundle.packing import pack
from edgewright.errors import StorageError
from edgewright.exporting._updater import PACKED, Install, begin, need, run
from edgewright.system.files import check_free, copy_whole, scratch, sha256, size_of, write_whole
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["export_mender"]


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


def export_mender(
    bundle: Bundle | str | Path,
    *,
    out: str | Path,
    device_types: Sequence[str],
    install: Install,
    name: str = "",
    key: str | Path | None = None,
    force: bool = False,
    progress: Callable[[str], None] = silent,
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
    opened, target = begin(bundle, out, install, force=force)
    need("mender-artifact", "mender-artifact")
    digest = sha256(opened.directory / MANIFEST)[:12]
    name = name or f"edgewright-{opened.manifest.version}-{digest}"
    words = ["--type", "edgewright", "--artifact-name", name, "--software-name", "edgewright"]
    words += [word for kind in device_types for word in ("--device-type", kind)]
    words += ["--key", str(key)] if key else []
    module = target.with_name(f"{target.name}.module")
    if size_of(target) is None:
        raise StorageError(f"{target} is no file, so that its update module has no place beside it", hint="give a file")
    check_free(module, force=force)
    with scratch() as work:
        made = work / "made.mender"
        progress("pack")
        pack(opened, work / PACKED)
        progress("write")
        files = ["--file", str(work / PACKED), "--output-path", str(made)]
        run(["mender-artifact", "write", "module-image", *words, *files])
        copy_whole(made, target)
    current = shlex.quote(f"{install.root}/current")
    flash = install.flash(f'"$2/files/{PACKED}"')
    script = _MENDER_MODULE.format(current=current, flash=flash, rollback=install.rollback())
    write_whole(module, script.encode(), mode=0o777)
    return target, module
