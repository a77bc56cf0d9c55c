"""Files for other clients: what is made of a bundle's artifact so that a library that knows no bundles opens it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from edgewright import registry
from edgewright.bundle.bundle import Bundle
from edgewright.bundle.manifest import Settings  # noqa: TC001 - msgspec reads annotations
from edgewright.errors import UnsupportedConversion
from edgewright.system.child import Child
from edgewright.system.files import check_free, copy_whole, scratch
from edgewright.system.jobs import Jobs
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgewright.bundle.manifest import Artifact, Manifest

__all__ = ["MEDIAPIPE", "MediapipeRequest", "export_mediapipe"]

_NEEDED = ("numpy", "flatbuffers", "ai_edge_litert")


class MediapipeRequest(Struct, frozen=True, kw_only=True):
    """A tflite artifact to make a file of; `tokenizer` is the directory with tokenizer.json."""

    artifact: Path
    settings: Settings
    tokenizer: Path
    out: Path


MEDIAPIPE = Child("edgewright.converters._tflite.mediapipe:export", MediapipeRequest, type(None))


def export_mediapipe(
    bundle: Bundle | str | Path,
    *,
    out: str | Path,
    precision: str | None = None,
    force: bool = False,
    progress: Callable[[str], None] = silent,
) -> Artifact:
    """Write a `.tflite` file that MediaPipe's text classifier opens, and give the artifact that it was made of.

    The file holds one length, the longest, with the vocabulary and the labels; its scores are probabilities.

    Args:
        bundle: a bundle with a tflite artifact of a text classifier.
        out: the file to write.
        precision: which artifact; by default the smallest that passed its gates.
        force: replace a file that is at `out` already.
        progress: called with a short phrase at each stage.

    Raises:
        BundleError: there is no such artifact, or its file is not what the manifest says.
        UnsupportedConversion: MediaPipe has no task for the model, or takes neither its inputs nor its tokenizer.
        StorageError: `out` exists, or cannot be written.
        MissingExtra: the converter's packages are not installed.
    """
    opened, target = Bundle.of(bundle), Path(out)
    _check_task(opened.manifest)
    artifact = opened.choose(format="tflite", precision=precision)
    check_free(target, force=force)
    registry.require(_NEEDED, "host")
    for path in (artifact.path, *opened.tokenizer_files()):
        opened.checked(path)
    with scratch() as work:
        request = MediapipeRequest(
            artifact=opened.directory / artifact.path,
            settings=opened.manifest.settings,
            tokenizer=opened.directory,
            out=work / "model.tflite",
        )
        Jobs(work, progress=progress).run(MEDIAPIPE, request)
        copy_whole(request.out, target)
    return artifact


def _check_task(manifest: Manifest) -> None:
    """Refuse what MediaPipe has no text task for. Raises UnsupportedConversion."""
    if manifest.task == "feature-extraction":
        raise UnsupportedConversion(
            "MediaPipe's embedder reads one vector for each text, the artifact gives one for each token",
            hint="pooling is not in the file; `edgewright run` pools with LiteRT",
        )
    hint = "it has a text classifier; `edgewright run` answers every task"
    if manifest.task != "text-classification" or not manifest.settings.labels:
        kind = manifest.task if manifest.settings.labels else f"{manifest.task} without labels"
        raise UnsupportedConversion(f"MediaPipe has no task for {kind}", hint=hint)
    if manifest.settings.prompt or manifest.settings.activation != "identity":
        own = "a prompt before every text" if manifest.settings.prompt else "a sigmoid behind its output"
        raise UnsupportedConversion(f"the model has {own}, MediaPipe has no place for it", hint=hint)
