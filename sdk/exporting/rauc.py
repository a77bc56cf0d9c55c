"""Bundles for RAUC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewright.bundle.packing import pack
from edgewright.errors import UsageError
from edgewright.exporting._updater import PACKED, Install, begin, need, run
from edgewright.system.files import copy_whole, scratch
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgewright.bundle.bundle import Bundle

__all__ = ["export_rauc"]

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


def export_rauc(
    bundle: Bundle | str | Path,
    *,
    out: str | Path,
    compatible: str,
    cert: str | Path,
    key: str | Path,
    install: Install,
    force: bool = False,
    progress: Callable[[str], None] = silent,
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
    opened, target = begin(bundle, out, install, force=force)
    need("rauc", "rauc")
    need("mksquashfs", "squashfs-tools")
    if not compatible.isprintable() or not compatible.strip():
        raise UsageError(f"compatible {compatible!r} cannot stand in a manifest of RAUC")
    with scratch() as work:
        content, made = work / "content", work / "made.raucb"
        content.mkdir()
        progress("pack")
        pack(opened, content / PACKED)
        text = _RAUC_MANIFEST.format(compatible=compatible, version=opened.manifest.version)
        (content / "manifest.raucm").write_text(text, encoding="utf-8")
        script = _RAUC_INSTALL.format(flash=install.flash(f'"$RAUC_BUNDLE_MOUNT_POINT/{PACKED}"'))
        (content / "install").write_text(script, encoding="utf-8")
        (content / "install").chmod(0o755)
        progress("sign")
        run(["rauc", "bundle", f"--cert={cert}", f"--key={key}", str(content), str(made)])
        copy_whole(made, target)
    return target
