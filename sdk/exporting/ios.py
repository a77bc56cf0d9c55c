"""A Swift package for iOS and macOS: the C core, a façade in Swift, and the model as a resource."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgewright.exporting import c
from edgewright.exporting.c import fit, write_assets, write_licences
from edgewright.system.atomic import staged
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgewright.bundle.bundle import Bundle
    from edgewright.bundle.manifest import Artifact

__all__ = ["export_ios"]

_MARKER = "Package.swift"
"""What a directory must hold to be replaced."""
_SOURCES = Path(__file__).with_name("ios_project")
_CORE = Path("Sources", "CEdgewright")
_PUBLIC = ("edgewright.h", "ew_tokenizer.h")
"""The headers that the package shows; SwiftPM wants them in a directory of their own."""
_UNUSED = ("CMakeLists.txt", "main.c")
"""Of the C project, where SwiftPM builds and another sample shows."""
_ASSETS = Path("Sources", "Edgewright", "assets")
"""A resource of the module that opens it."""


def export_ios(
    bundle: Bundle | str | Path,
    *,
    out: str | Path,
    format: Literal["onnx", "ort"] = "onnx",  # noqa: A002
    precision: str | None = None,
    force: bool = False,
    progress: Callable[[str], None] = silent,
) -> Artifact:
    """Write a Swift package that answers as the bundle does, and give the artifact that is in it.

    Args:
        bundle: a bundle with such an artifact, of a task that is answered by one run, of a decoder, or of a translator
            in ONNX.
        out: the directory to write.
        format: of the artifact; an `ort` file is mapped, and its weights are used where they lie.
        precision: which artifact; by default the smallest that passed its gates.
        force: replace such a package that is at `out` already.
        progress: called with a short phrase at each stage.

    Raises:
        BundleError: there is no such artifact, or its file is not what the manifest says.
        UnsupportedConversion: the task, the tokenizer or an input is none that the C core has.
        StorageError: `out` exists, or cannot be written.
    """
    opened, artifact = fit(bundle, format=format, precision=precision)
    with staged(Path(out), marker=_MARKER, force=force) as work:
        shutil.copytree(_SOURCES, work, dirs_exist_ok=True)
        write_licences(opened, work)
        for path in sorted(c.SOURCES.iterdir()):
            if path.name not in _UNUSED:
                shutil.copyfile(path, work / _CORE / ("include" if path.name in _PUBLIC else "") / path.name)
        write_assets(opened, artifact, work / _ASSETS, progress=progress, maps=True)
    return artifact
