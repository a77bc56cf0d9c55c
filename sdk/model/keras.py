"""Keras sources: a `.keras` file or a SavedModel directory, looked at without TensorFlow."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright.bundle.manifest import Settings
from edgewright.errors import SourceError, UsageError
from edgewright.model.source import Source, check_fetched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["is_keras", "open_keras"]

_LARGEST_CONFIG = 64 * 2**20
"""A choice: the structure of a model alone, some kilobytes a layer; the limit keeps a zip bomb out."""


def is_keras(model: str | Path) -> bool:
    """Whether a path names a Keras model: it ends in `.keras`, or is a directory that holds saved_model.pb."""
    return Path(model).suffix == ".keras" or Path(model, "saved_model.pb").is_file()


def open_keras(
    model: str | Path, *, tokenizer: str | Path | None, task: str | None, labels: Sequence[str], max_length: int
) -> Source:
    """Read and check a Keras model that takes int token ids (batch, length), and masks by the tokenizer's names.

    Raises:
        UsageError: something that a bundle needs was not given.
        SourceError: not there, damaged, or holding code.
        MissingExtra: TensorFlow is not installed.
    """
    path = Path(model)
    if tokenizer is None or task is None:
        raise UsageError("a Keras model needs a tokenizer and a task", hint="give --tokenizer DIR and --task")
    registry.load("tasks", task)
    if task.endswith("classification") and not labels:
        raise UsageError(f"a Keras model for {task} needs labels", hint="give --labels, one name for each output")
    check_fetched([path])
    name = _checked_file(path) if path.suffix == ".keras" else "SavedModel"
    registry.require(("tensorflow",), "tensorflow")
    settings = Settings(max_length=max_length, labels=tuple(labels))
    source = Source(Path(tokenizer), task, name, settings, model_type="keras", keras=path)
    source.tokenizer()
    return source


def _checked_file(path: Path) -> str:
    """The class of the model in a `.keras` file, which holds no code."""
    if not path.is_file():
        raise SourceError(f"{path} does not exist", hint="give the file that model.save() wrote")
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > _LARGEST_CONFIG:
                raise SourceError(f"config.json in {path} is larger than {_LARGEST_CONFIG} bytes")
            archive.getinfo("model.weights.h5")
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, RecursionError) as error:
        raise SourceError(f"{path} is no whole .keras file: {error}", hint="save or copy it again") from error
    code = sorted({str(node.get("config", {}).get("name", "?")) for node in _objects(config) if _is_code(node)})
    if code:
        hint = "code of a file is never run; say it with keras.ops or a layer of Keras"
        raise SourceError(f"{path} holds code in the Lambda layer {', '.join(code)}", hint=hint)
    return str(config.get("class_name", "Keras")) if isinstance(config, dict) else "Keras"


def _objects(tree: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object of a tree."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
        waiting += list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []


def _is_code(node: dict[str, Any]) -> bool:
    return node.get("class_name") == "Lambda"
