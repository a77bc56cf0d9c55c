"""A C project: an artifact for ONNX Runtime with a tokenizer and the tasks in C99, for whoever links no Python.

ONNX Runtime is loaded when a model is opened, through its C interface; its header is not needed, and nothing of it is
in the project.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgewright.bundle.bundle import Bundle
from edgewright.errors import UnsupportedConversion
from edgewright.exporting.tokenizer_file import tokenizer_file
from edgewright.system.atomic import staged
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgewright.bundle.manifest import Artifact, Manifest
    from edgewright.tasks import Task

__all__ = ["export_c", "fit", "write_assets"]

_MARKER = "edgewright.h"
"""What a directory must hold to be replaced."""
_SOURCES = Path(__file__).with_name("c_project")
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""What the C core can give a model."""
_TASKS = (
    "text-classification",
    "token-classification",
    "fill-mask",
    "question-answering",
    "feature-extraction",
    "text-ranking",
    "zero-shot-classification",
)
"""What `edgewright.c` answers."""


def export_c(
    bundle: Bundle | str | Path,
    *,
    out: str | Path,
    format: Literal["onnx", "ort"] = "onnx",  # noqa: A002
    precision: str | None = None,
    force: bool = False,
    progress: Callable[[str], None] = silent,
) -> Artifact:
    """Write a CMake project whose program answers as the bundle does, and give the artifact that is in it.

    Beside the sources stands `assets`: the model, `tokenizer.bin`, `model.txt` with the settings, and `vectors.json`,
    the bundle's golden cases with offsets, for tests on the far side.

    Args:
        bundle: a bundle with such an artifact, of a task that is answered by one run.
        out: the directory to write.
        format: of the artifact; the program maps an `ort` file, whose weights the engine then uses where they lie, and
            an `onnx` file is read and copied by the engine.
        precision: which artifact; by default the smallest that passed its gates.
        force: replace such a project that is at `out` already.
        progress: called with a short phrase at each stage.

    Raises:
        BundleError: there is no such artifact, or its file is not what the manifest says.
        UnsupportedConversion: the task, the tokenizer or an input is none that the C core has.
        StorageError: `out` exists, or cannot be written.
    """
    opened, artifact = fit(bundle, format=format, precision=precision)
    with staged(Path(out), marker=_MARKER, force=force) as work:
        shutil.copytree(_SOURCES, work, dirs_exist_ok=True)
        write_assets(opened, artifact, work / "assets", progress=progress)
    return artifact


def fit(bundle: Bundle | str | Path, *, format: str, precision: str | None) -> tuple[Bundle, Artifact]:  # noqa: A002
    """The bundle, and its artifact that the C core can answer with, every file of both checked.

    Raises BundleError and UnsupportedConversion, as `export_c` does.
    """
    opened = Bundle.of(bundle)
    artifact = opened.choose(format=format, precision=precision)
    _check(opened.manifest, artifact)
    for path in (*opened.parts(artifact), *opened.text_files()):
        opened.checked(path)
    return opened, artifact


def write_assets(opened: Bundle, artifact: Artifact, assets: Path, *, progress: Callable[[str], None]) -> None:
    """Make the directory that the C core opens. Raises UnsupportedConversion for the tokenizer."""
    progress("asking the tokenizer of every character")
    data = tokenizer_file((opened.directory / "tokenizer.json").read_bytes())
    assets.mkdir()
    for path in opened.parts(artifact):
        shutil.copyfile(opened.directory / path, assets / Path(path).name)
    (assets / "tokenizer.bin").write_bytes(data)
    (assets / "model.txt").write_text(_settings(opened, artifact), encoding="utf-8", newline="\n")
    vectors = list(_vectors(opened, artifact))
    (assets / "vectors.json").write_text(json.dumps(vectors, indent=1, ensure_ascii=False), encoding="utf-8")


def _check(manifest: Manifest, artifact: Artifact) -> None:
    if manifest.task not in _TASKS:
        hint = f"it answers {', '.join(_TASKS)}"
        raise UnsupportedConversion(f"the C core has no task {manifest.task}", hint=hint)
    strange = [one for one in artifact.inputs if one.name not in _INPUTS or one.dtype not in ("int64", "int32")]
    strange += [one for one in artifact.outputs if one.dtype != "float32"]
    if strange:
        names = ", ".join(f"{one.name} ({one.dtype})" for one in strange)
        raise UnsupportedConversion(f"the C core neither gives nor reads {names} of {artifact.path}")


def _settings(opened: Bundle, artifact: Artifact) -> str:
    """model.txt: a word and a value a line; line breaks and backslashes are escaped."""
    task, tokenizer, settings = opened.task(), opened.tokenizer(), opened.manifest.settings
    said = {
        "task": task.name,
        "model": Path(artifact.path).name,
        "max_length": settings.max_length,
        "problem": settings.problem,
        "activation": settings.activation,
        "pooling": settings.pooling,
        "normalize": int(settings.normalize),
        "prompt": settings.prompt,
        "cut_left": int(tokenizer.cuts_left),
        "pads_left": int(tokenizer.pads_left),
        "pad_id": tokenizer.pad_id,
        "mask": tokenizer.mask_token if task.name == "fill-mask" else "",
        "unknown": tokenizer.token(tokenizer.unknown_id) if tokenizer.unknown_id >= 0 else "",
    }
    lines = [f"{name} {_escaped(str(value))}" for name, value in said.items()]
    lines += [f"label {_escaped(label)}" for label in settings.labels]
    lines += [f"input {one.dtype} {one.name}" for one in artifact.inputs]
    lines += [f"output {name}" for name in task.outputs]
    return "\n".join(["edgewright 1", *lines, ""])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _vectors(opened: Bundle, artifact: Artifact) -> Iterator[dict[str, Any]]:
    task: Task = opened.task()
    tokenizer = opened.tokenizer()
    for case in opened.golden().cases:
        encoding = task.encode(tokenizer, [case.text])
        rows = zip(encoding.feeds["input_ids"], encoding.feeds["attention_mask"], strict=True)
        yield {
            "text": case.text,
            "ids": [ids[mask > 0].tolist() for ids, mask in rows],
            "offsets": [list(row) for row in encoding.offsets],
            "outputs": case.outputs.get(artifact.path, ()),
            "answer": case.answer,
        }
