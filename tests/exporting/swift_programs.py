"""A program of the Swift package compiled and run on Linux, for tests and `tools/ios_answers.py`.

`tools/swift_setup` gets what it takes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1] / "build" / "swift"
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "usr/libexec/swift/lib/swift/linux")
BUILD = """
mount -t proc proc "$0/proc" && mount --bind "$1" "$0/mnt" || exit
exec chroot "$0" sh -c 'cd /mnt && HOME=/tmp exec swift build -c release --product sample'
"""
"""In a namespace of its own, with which what is mounted goes."""


def missing() -> str:
    """Why nothing can be compiled here, "" where it can."""
    if not (ROOT / "usr" / "libexec" / "swift" / "bin" / "swift").exists():
        return "there is no Swift: tools/swift_setup gets Debian 13's"
    alone = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return "" if alone.returncode == 0 else "Debian 13's Swift runs below a root of its own: unshare makes none"


def program(package: Path) -> Path:
    """`writing.swift` in the place of an exported package's sample, as a file to be started.

    Of the manifest what names the engine's own package is left out: SwiftPM would get it from GitHub, for Apple alone.
    """
    work = package.with_name(f"{package.name}-writing")
    shutil.copytree(package, work)
    manifest = (work / "Package.swift").read_text()
    for form in (r"\n    dependencies: \[\.package\(.*\)\],", r"\n            dependencies: \[\.product\(.*\)\],"):
        manifest, count = re.subn(form, "", manifest)
        assert count == 1, manifest
    (work / "Package.swift").write_text(manifest)
    (work / "Sources" / "sample" / "main.swift").unlink()
    shutil.copy(HERE / "writing.swift", work / "Sources" / "sample" / "Writing.swift")
    argv = ["unshare", "--mount", "sh", "-c", BUILD, str(ROOT), str(work)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert "warning:" not in done.stdout, done.stdout
    made = work / "writing"
    paths = os.pathsep.join(str(ROOT / name) for name in LIBRARIES)
    argv = [str(ROOT / "usr/lib64/ld-linux-x86-64.so.2"), "--library-path", paths, str(work / ".build/release/sample")]
    made.write_text(f'#!/bin/sh\nexec {" ".join(argv)} "$@"\n')
    made.chmod(0o755)
    return made
