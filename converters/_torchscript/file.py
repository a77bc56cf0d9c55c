"""A `.ptl` file that says what it takes and gives, and is the same whenever it is written."""

from __future__ import annotations

import json
import pickletools
import re
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from edgewright.errors import UnsupportedConversion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.contracts.converter import ConversionSpec

__all__ = ["save", "signature"]

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date a ZIP file can hold: the same inputs build the same bytes."""
_ALIGNMENT = 64
"""kFieldAlignment of PyTorch's inline_container.h: tensors are mapped where they lie."""
_MANGLED = re.compile(r"___torch_mangle_\d+")


def save(frozen: Any, signature: dict[str, Any], out: Path) -> None:
    """Write a frozen module with its signature, as `extra/edgewright.json` in the archive."""
    said = json.dumps(signature, sort_keys=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        raw = Path(scratch, out.name)
        frozen._save_for_lite_interpreter(str(raw), _extra_files={"edgewright.json": said})  # noqa: SLF001
        _copy(raw, out)


def signature(frozen: Any, spec: ConversionSpec, example: Sequence[torch.Tensor]) -> dict[str, Any]:
    """Inputs and outputs; a dimension that follows the batch or the length has its name."""
    batch, length = example[0].shape
    smaller = [t[: batch - 1, : length - 2] for t in example]  # the example may be as long as the model reads
    try:
        with torch.no_grad():
            shapes = [[tuple(t.shape) for t in frozen(*feeds)] for feeds in (example, smaller)]
    except RuntimeError as error:
        what = f"torchscript keeps the traced shape {batch} x {length} of this model: {str(error).splitlines()[-1]}"
        raise UnsupportedConversion(what, hint="compute shapes with tensor methods alone, or use onnx") from error
    names = {(batch, batch - 1): "batch", (length, length - 2): "length"}
    outputs = [
        [a if a == b else names.get((a, b), "any") for a, b in zip(*pair, strict=True)]
        for pair in zip(*shapes, strict=True)
    ]
    return {
        "inputs": [{"name": name, "dtype": "int64", "shape": ["batch", "length"]} for name in spec.inputs],
        "outputs": [
            {"name": name, "dtype": "float32", "shape": shape}
            for name, shape in zip(spec.outputs, outputs, strict=True)
        ],
        "about": {**spec.about, "precision": spec.precision},
    }


def _copy(raw: Path, out: Path) -> None:
    """The part of the archive that the lite interpreter reads: bytecode and its constants.

    PyTorch also writes the model as source code, with the paths of the files that it came from, and with a copy of
    every packed weight of its own.
    """
    with zipfile.ZipFile(raw) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new:
        read = _storages(old.read(f"{raw.stem}/bytecode.pkl"))
        for name in sorted(old.namelist()):
            top, _, rest = name.partition("/")[2].partition("/")
            if (
                top in ("code", "constants.pkl")
                or rest == "serialization_id"
                or (top == "constants" and rest not in read)
            ):
                continue
            entry = zipfile.ZipInfo(name, _EPOCH)
            fill = -(new.fp.tell() + 30 + len(name.encode()) + 4) % _ALIGNMENT  # type: ignore[union-attr]
            entry.extra = b"FB" + fill.to_bytes(2, "little") + b"Z" * fill
            data = old.read(name)
            new.writestr(entry, _renumbered(data) if name.endswith(".pkl") else data)


def _storages(pickled: bytes) -> set[str]:
    """The names of the tensor files that a pickle refers to, read without unpickling."""
    words = {word for _, word, _ in pickletools.genops(pickled) if isinstance(word, str)}
    return {word.rpartition("/")[2] for word in words if word.endswith(".storage")}


def _renumbered(pickled: bytes) -> bytes:
    """The same pickle with its classes numbered from 0: PyTorch counts all that the process has ever traced."""
    ops = list(pickletools.genops(pickled))
    ends = [*(at for _, _, at in ops[1:]), len(pickled)]
    numbers: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        return numbers.setdefault(found[0], f"___torch_mangle_{len(numbers)}")

    parts = []
    for (op, word, begin), end in zip(ops, ends, strict=True):
        part = pickled[begin:end]
        if isinstance(word, str) and _MANGLED.search(word):
            part = _MANGLED.sub(number, part.decode("latin-1")).encode("latin-1")
            if op.name == "BINUNICODE":
                part = b"X" + (len(part) - 5).to_bytes(4, "little") + part[5:]
        parts.append(part)
    return b"".join(parts)
