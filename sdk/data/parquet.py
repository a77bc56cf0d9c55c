"""Rows of Parquet files, as `datasets` writes them (`to_parquet`) and the hub keeps them. They alone need pyarrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright.errors import DataError, one_line
from edgewright.system.files import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["rows"]


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows with their numbers from 1, a thousand in memory at a time.

    Raises:
        MissingExtra: pyarrow is not installed.
        DataError: no such file, or another one.
    """
    registry.require(("pyarrow",), "parquet")
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        with plain(path) as opened, ParquetFile(opened) as file:
            for batch in file.iter_batches(1000):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except Exception as error:  # whatever the library raises over a file, the file is at fault
        raise DataError(
            f"cannot read {path}: {one_line(str(error), 200)}", hint="is it a whole Parquet file?"
        ) from error
