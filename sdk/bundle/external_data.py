"""Whether a model's file keeps to itself: what an engine opens beside it is listed in the bundle, or it is refused.

An ONNX file may keep tensors in other files, by their names, and some engines follow any name: ONNX Runtime 1.23 reads
`../../secret` and `/etc/passwd` alike. A hash does not help, as the name is part of what was hashed. So the messages
are walked as protobuf lays them on the wire (protobuf.dev/programming-guides/encoding), with the fields of onnx.proto;
the tensors' bytes are skipped, never read. One file is allowed beside `X.onnx`: `X.onnx.data`, if it is listed.

Where two parsers may differ (a message that stands twice and is merged, groups, a tag beyond 32 bits) the file is
refused: what was looked at must be what the engine sees. So are `EPContext` nodes, whose attribute is the path of a
compiled model.

A TFLite file is refused where it names external buffer groups, which LiteRT looks for on the disk, or operators of
TensorFlow itself (`Flex...`, where an interpreter has that delegate), among which are `ReadFile` and `WriteFile`.

The other formats name no files. A tensor of an `.ort` file has an offset at most, for a reader that a training program
brings along (`external_data_offset` in ort.fbs); a `.pte` file's named data comes from a file that the caller gives; a
`.ptl` file is a zip archive, read by the names of its own records; a TensorRT engine holds its weights. But ONNX
Runtime goes by a file's name, so `.onnx` files are walked in every format; `onnx` and `ort` have their own ending.

Standard library alone, for Python 3.9 on: a board looks with these very functions before an engine starts.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from edgewright.bundle.onnx_bytes import Malformed, externals
from edgewright.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgewright.bundle.onnx_bytes import External

    Read = Callable[[int, int], bytes]
    """(position, count) -> so many bytes of a file, fewer at its end."""

__all__ = ["candidates_of", "check_content", "check_file", "encoder_of", "graphs_of", "narrow_of", "weights_of"]

_KEYS = {b"location", b"offset", b"length", b"checksum"}

_BUFFER_GROUPS, _BUFFERS = 8, 9
"""Fields of Model in TFLite's schema.fbs."""


def weights_of(path: str) -> str:
    """The one file that an artifact may have beside it."""
    return f"{path}.data"


def encoder_of(path: str) -> str:
    """The graph of the encoder, where the artifact at `path` is a decoder that has one; both read the same weights."""
    return _beside("encoder", path)


def candidates_of(path: str) -> str:
    """The graph that gathers the head of a shortlist, where the decoder at `path` can be held to one."""
    return _beside("candidates", path)


def narrow_of(path: str) -> str:
    """The decoder at `path` once more, with a head that is given: of a shortlist."""
    return _beside("narrow", path)


def graphs_of(path: str) -> tuple[str, ...]:
    """All graphs that the artifact at `path` may have beside it; they read its weights."""
    return encoder_of(path), candidates_of(path), narrow_of(path)


def _beside(kind: str, path: str) -> str:
    place, slash, name = path.rpartition("/")
    return f"{place}{slash}{kind}_{name}"


def check_file(
    format: str,  # noqa: A002
    place: str | os.PathLike[str],
    path: str,
    weights_bytes: int | None,
    *,
    weights: str = "",
) -> None:
    """As `check_content`, of the file at `place`. Raises BundleError."""
    with open(place, "rb", buffering=0) as file:  # noqa: PTH123 - a board has strings
        number = file.fileno()
        size = os.fstat(number).st_size
        check_content(format, path, size, lambda at, n: os.pread(number, n, at), weights_bytes, weights=weights)


def check_content(
    format: str,  # noqa: A002
    path: str,
    size: int,
    read: Read,
    weights_bytes: int | None,
    *,
    weights: str = "",
) -> None:
    """Check that an artifact names no file but its own weights.

    Args:
        format: its format, by the manifest.
        path: its name in the bundle.
        size: its bytes.
        read: how to read them.
        weights_bytes: the size of the file of its weights, as the manifest lists it; None where it lists none.
        weights: that file, by default `weights_of(path)`; an encoder's are those of its decoder.

    Raises:
        BundleError: it names another one, or cannot be read for sure.
        OSError: as `read` does.
    """
    try:
        _check_ending(format, path)
        if path.endswith(".onnx"):
            for tensor in externals(size, read):
                _check_external(path, tensor, weights_bytes, weights or weights_of(path))
        if format == "tflite":
            _check_tflite(size, read)
    except Malformed as error:
        raise BundleError(f"{path}: {error}", hint="it is refused unopened; build the bundle again") from error


def _check_ending(format: str, path: str) -> None:  # noqa: A002
    """ONNX Runtime tells its two formats apart by the file's name."""
    if format in ("onnx", "ort") and not path.endswith(f".{format}"):
        raise Malformed(f"a file of the format {format} must end in .{format}")


def _check_external(path: str, tensor: External, weights_bytes: int | None, weights: str) -> None:
    found: dict[bytes, bytes] = {}
    for key, value in tensor.entries:
        if key not in _KEYS or value is None or key in found:
            raise Malformed(f"tensor {_shown(tensor.tensor)} has the external data key {_shown(key)} amiss")
        found[key] = value
    name, allowed = found.get(b"location"), weights.rpartition("/")[2]
    if name != allowed.encode() or weights_bytes is None:
        where = "names no file" if name is None else f"is in the file {_shown(name)}"
        listed = "" if weights_bytes is not None else ", which the manifest does not list"
        what = f"{path} is refused: its tensor {_shown(tensor.tensor)} {where}"
        raise BundleError(what, hint=f"it may name {allowed} beside it alone{listed}")
    _check_range(tensor, found, weights_bytes)


def _check_range(tensor: External, found: dict[bytes, bytes], weights_bytes: int) -> None:
    offset, length = found.get(b"offset", b"0"), found.get(b"length", b"")
    if not all(re.fullmatch(rb"[0-9]{1,19}", number) for number in (offset, length)):
        raise Malformed(f"tensor {_shown(tensor.tensor)} has offset {_shown(offset)} and length {_shown(length)}")
    if int(offset) + int(length) > weights_bytes:
        what = f"tensor {_shown(tensor.tensor)} ends at {int(offset) + int(length)}"
        raise Malformed(f"{what}, its file has {weights_bytes} bytes")


def _shown(text: bytes | None) -> str:
    """For a line: cut, and in ASCII, so that look-alikes show."""
    if text is None:
        return "(none)"
    plain = text.decode("utf-8", "backslashreplace")
    return ascii(plain if len(plain) <= 60 else f"{plain[:59]}…")


def _check_tflite(size: int, read: Read) -> None:
    from edgewright.bundle.flat_bytes import CUSTOM_CODE, Flat, operator_codes  # the way to an ONNX file needs none

    flat = Flat(size, read)
    if flat.read(4, 4) != b"TFL3":
        raise Malformed("it is no TFLite file")
    model = flat.number(0)
    for slot in (_BUFFER_GROUPS, _BUFFERS):
        vector = flat.follow(model, slot)
        if vector and flat.number(vector):
            raise Malformed("it has external buffers, whose files an engine looks for outside of the bundle")
    for code in operator_codes(flat):
        name = flat.follow(code, CUSTOM_CODE)
        if name and flat.read(name + 4, min(4, flat.number(name))) == b"Flex":
            raise Malformed("it has operators of TensorFlow itself, some of which read and write files")
