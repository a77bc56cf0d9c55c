"""Marian's tokenizer of two sides as one tokenizer.json: it cuts texts by the source's pieces, and reads the target's.

A piece that the source's sentencepiece model lacks must not be cut out of a text. It has a mark in front that no text
has, and that is taken off when tokens are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.model.known import read_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TARGET_MARK", "cuts_targets"]

TARGET_MARK = "\ue000"
"""Of Unicode's private use area: a text that has it all the same loses it."""


def cuts_targets(directory: Path) -> bool:
    """Whether the tokenizer of a model's directory cuts texts of the target as the model was trained on them.

    Of Marians alone it may not. Raises SourceError: a file cannot be read.
    """
    if (directory / "target.spm").is_file():
        return False
    if _tree(directory / "config.json").get("model_type") != "marian":
        return True  # of another model a piece may well begin with that character
    model = _tree(directory / "tokenizer.json").get("model")
    rows = model.get("vocab") if isinstance(model, dict) else None
    listed = rows if isinstance(rows, list) else ()
    return not any(isinstance(row, list) and row and str(row[0]).startswith(TARGET_MARK) for row in listed)


def _tree(path: Path) -> dict[str, Any]:
    return read_json(path, dict[str, Any]) if path.is_file() else {}
