"""Rows of Parquet files and of directories that `datasets` saved (`save_to_disk`). They alone need pyarrow.

A column of classes (`ClassLabel`) holds numbers; their names stand beside it, and are given in their place.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright.errors import DataError, one_line
from edgewright.system.files import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Names = dict[str, list[str]]

__all__ = ["parts_of", "rows", "saved_rows", "splits"]

_INDEX = "__index_level_0__"
"""What pandas calls an index in Parquet."""


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a Parquet file with their numbers from 1, a thousand in memory at a time.

    Raises:
        MissingExtra: pyarrow is not installed.
        DataError: no such file, or another one.
    """
    registry.require(("pyarrow",), "parquet")
    from pyarrow.parquet import ParquetFile

    try:
        with plain(path) as opened, ParquetFile(opened) as file:
            info = (file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
            names = _names(json.loads(info).get("info", {}))
            yield from _numbered(file.iter_batches(1000), names)
    except Exception as error:  # whatever the library raises over a file, the file is at fault
        what = f"cannot read {path}: {one_line(str(error), 200)}"
        raise DataError(what, hint="is it a whole Parquet file?") from error


def splits(directory: Path) -> list[str]:
    """The splits of a directory that `datasets` saved several in; none where it is one, or another directory."""
    path = directory / "dataset_dict.json"
    found = _json(path).get("splits") if path.is_file() else None
    return [str(name) for name in found] if isinstance(found, list) else []


def parts_of(directory: Path) -> list[Path]:
    """The files of a directory that `datasets` saved one split in, in order; none of another directory."""
    path = directory / "state.json"
    found = _json(path).get("_data_files") if path.is_file() else None
    names = [part.get("filename") for part in found if isinstance(part, dict)] if isinstance(found, list) else []
    inside = [str(name) for name in names if isinstance(name, str) and "/" not in name]
    return [directory / name for name in inside]


def saved_rows(directory: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of such a directory. Raises MissingExtra and DataError as `rows` does."""
    registry.require(("pyarrow",), "parquet")
    from pyarrow import ArrowException, ipc, memory_map

    info = directory / "dataset_info.json"
    names, number = _names(_json(info) if info.is_file() else {}), 0
    for path in parts_of(directory):
        try:
            with memory_map(str(path)) as source, ipc.open_stream(source) as stream:
                for number, row in _numbered(stream, names, number):  # noqa: B020 - goes on with the next file
                    yield number, row
        except (OSError, ArrowException) as error:
            what = f"cannot read {path}: {one_line(str(error), 200)}"
            raise DataError(what, hint="was the directory copied whole?") from error


def _numbered(batches: Any, names: Names, number: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            kept = {name: value for name, value in row.items() if name != _INDEX}
            yield number, {name: _named(value, names.get(name)) for name, value in kept.items()}


def _named(value: Any, names: list[str] | None) -> Any:
    if names is None or value is None:
        return value
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


def _names(info: Any) -> Names:
    """The names of the classes of each column, out of the features that `datasets` writes down."""
    found = {}
    for column, feature in (info.get("features") or {}).items() if isinstance(info, dict) else ():
        inner = feature
        while isinstance(inner, dict) and isinstance(inner.get("feature"), dict):  # of a list
            inner = inner["feature"]
        inner = inner[0] if isinstance(inner, list) and inner else inner
        if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" and isinstance(inner.get("names"), list):
            found[str(column)] = [str(name) for name in inner["names"]]
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path}: {one_line(str(error), 200)}") from error
    return tree if isinstance(tree, dict) else {}
