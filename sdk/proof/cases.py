"""The texts of the gate, encoded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from edgewright.errors import TokenizerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.tasks import Task
    from edgewright.text.encoding import Encoding
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["Case", "cases"]

_LONGEST_FILL = 2048
"""Tokens of the case of full length: attention's memory grows by the square, 4 times as much at 4096."""


@dataclass(frozen=True)
class Case:
    """One engine call of the gate: a name for people, the items, and their encoding."""

    name: str
    items: tuple[Any, ...]
    encoding: Encoding


def cases(task: Task, tokenizer: Tokenizer) -> list[Case]:
    """The project's gate texts, encoded: each text by itself, but for the padded batch."""
    stored = json.loads(resources.files("edgewright.proof").joinpath("gate_texts.json").read_text(encoding="utf-8"))
    found = []
    for case in stored[task.gate]:
        texts = [_filled(text, tokenizer) for text in case["texts"]] if case.get("fill") else case["texts"]
        items = [task.item(text, tokenizer) for text in texts]
        groups = [items] if case.get("batch") else [[item] for item in items]
        found += [Case(case["name"], tuple(g), e) for g in groups if (e := _encoding(task, tokenizer, g)) is not None]
    return found


def _encoding(task: Task, tokenizer: Tokenizer, group: Sequence[Any]) -> Encoding | None:
    """The encoded group; None where the tokenizer makes no token of it, as without special tokens of the empty text."""
    try:
        return task.encode(tokenizer, group)
    except TokenizerError:
        return None


def _filled(text: Any, tokenizer: Tokenizer) -> Any:
    """A text repeated until it is longer than the model, or a pair of texts whose second one is."""
    if isinstance(text, list):
        return [text[0], _filled(text[1], tokenizer)]
    wanted = min(tokenizer.max_length, _LONGEST_FILL)
    return text * (wanted // max(len(text.split()), 1) + 1)
