"""The labels of a model's head: its own, those that are asked for, or those that the rows name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import structs

from edgewright import registry
from edgewright.data import rows as data
from edgewright.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgewright.model.source import Source

__all__ = ["labels_in", "other_labels", "with_labels"]

_COLUMNS = ("label", "tags", "ner_tags", "labels")


def with_labels(source: Source, labels: Sequence[str], rows: Path) -> Source:
    """A source with `labels`; with those of `rows` where none are given and its head is of another task."""
    if not source.task.endswith("classification"):
        return source
    has_head = source.architecture.endswith(registry.load("tasks", source.task).heads)
    if not labels and has_head:
        return source
    return replace(source, settings=structs.replace(source.settings, labels=tuple(labels) or labels_in(rows)))


def other_labels(source: Source, files: Sequence[Path]) -> str:
    """What to do where rows have labels that the source's head does not know; "" where it knows all of them."""
    if not source.task.endswith("classification") or not source.settings.labels:
        return ""
    try:
        found = [name for path in files for name in labels_in(path)]
    except DataError:
        return ""
    known = source.settings.labels
    numbers = all(name.startswith("LABEL_") for name in found)
    strange = (
        len(set(found)) > len(known) if numbers else not {n.casefold() for n in found} <= {n.casefold() for n in known}
    )
    if not strange:
        return ""
    every = ",".join(dict.fromkeys(found))
    return f"the model knows {', '.join(known)}; for a new head give --labels {every} (in Python: labels)"


def labels_in(rows: Path) -> tuple[str, ...]:
    """The labels that rows name: names, `O` before others; `LABEL_0` and so on where they are numbers.

    Raises:
        DataError: they name none.
    """
    names: set[str] = set()
    for _, row in data.rows(rows):
        given = next((row[column] for column in _COLUMNS if row.get(column) is not None), None)
        names |= {str(one).strip() for one in (given if isinstance(given, list) else [given]) if one is not None}
    if not names:
        raise DataError(f"{rows} names no labels", hint="it needs a column `label`, or `tags`; or give --labels")
    numbers = [name.removesuffix(".0") for name in names]  # pandas makes 1.0 of 1 beside a missing value
    if all(number.isdecimal() for number in numbers):
        return tuple(f"LABEL_{at}" for at in range(max(map(int, numbers)) + 1))
    return tuple(sorted(names, key=lambda name: (name != "O", name)))
