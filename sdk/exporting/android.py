"""A Gradle project for Android: a library module in Kotlin that answers as a bundle does, its assets, and a sample.

Tokenizer and tasks are Kotlin alone, so that no NDK is needed; the engine is ONNX Runtime's own Android library, which
Gradle gets from Maven. `android_project` is the project, to which an export adds the assets.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgewright.errors import UnsupportedConversion
from edgewright.exporting.c import fit, write_assets
from edgewright.system.atomic import staged
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgewright.bundle.bundle import Bundle
    from edgewright.bundle.manifest import Artifact

__all__ = ["export_android", "sizes"]

_MARKER = "settings.gradle.kts"
"""What a directory must hold to be replaced."""
_SOURCES = Path(__file__).with_name("android_project")
_ASSETS = Path("edgewright", "src", "main", "assets", "edgewright")
"""Where Gradle looks for a module's assets, and the name by which the library opens them."""
_ENGINE_BYTES = {"arm64-v8a": 32_232_640, "armeabi-v7a": 22_809_264}
"""Of the native libraries of onnxruntime-android 1.29.0, for the two ABIs that phones have."""


def export_android(
    bundle: Bundle | str | Path,
    *,
    out: str | Path,
    format: Literal["onnx", "ort"] = "onnx",  # noqa: A002
    precision: str | None = None,
    force: bool = False,
    progress: Callable[[str], None] = silent,
) -> Artifact:
    """Write a Gradle project whose library module answers as the bundle does, and give the artifact that is in it.

    Args:
        bundle: a bundle with such an artifact, of a task that is answered by one run.
        out: the directory to write.
        format: of the artifact; both are mapped where they lie in the app's archive, an `ort` file's weights are used
            there by the engine, those of an `onnx` file are copied by it.
        precision: which artifact; by default the smallest that passed its gates.
        force: replace such a project that is at `out` already.
        progress: called with a short phrase at each stage.

    Raises:
        BundleError: there is no such artifact, or its file is not what the manifest says.
        UnsupportedConversion: the task, the tokenizer or an input is none that the library has.
        StorageError: `out` exists, or cannot be written.
    """
    opened, artifact = fit(bundle, format=format, precision=precision)
    if opened.task().generates:
        raise UnsupportedConversion(
            f"the Android library has no task {opened.manifest.task} yet", hint="export c has it, for the NDK"
        )
    if len(opened.parts(artifact)) > 1:
        raise UnsupportedConversion(
            f"{artifact.path} has its weights in a file beside it, which no asset can be",
            hint="choose another precision",
        )
    with staged(Path(out), marker=_MARKER, force=force) as work:
        shutil.copytree(_SOURCES, work, dirs_exist_ok=True)
        (work / _ASSETS).parent.mkdir(parents=True)
        write_assets(opened, artifact, work / _ASSETS, progress=progress)
    return artifact


def sizes(project: str | Path) -> str:
    """What such a project adds to an app, in words."""
    files = sorted((path.stat().st_size, path.name) for path in Path(project, _ASSETS).iterdir())
    parts = ", ".join(f"{name} {size / 1e6:.2f}" for size, name in reversed(files))
    engine = ", ".join(f"{size / 1e6:.0f} MB for {abi}" for abi, size in _ENGINE_BYTES.items())
    return f"assets have {sum(size for size, _ in files) / 1e6:.2f} MB: {parts}; ONNX Runtime has {engine}"
