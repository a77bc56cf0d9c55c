"""A table that a `.pte` holds twice, once: what its lookup reads, and what XNNPACK packs for the head of a tied model.

ExecuTorch's own kernels read constants of one segment of the file; each weight of a delegate is a segment of its own,
found by its hash. A segment is a range of the file and nothing says that two may not overlap: one with the bytes of a
constant is told that it lies there. XNNPACK maps it, packs it as it needs it, and lets it go.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["shared"]

_OFFSET = 4
"""Where a flatbuffer's table of fields has its first one, DataSegment's offset (program.fbs)."""
_PAGE = 4096
"""What lies behind moves by whole pages, so that nothing loses an alignment; smaller weights stay where they are."""
_HEADER_AT = 8
"""Behind the length and the identifier of a flatbuffer (program.fbs, ExtendedHeader)."""


class _Segment(NamedTuple):
    """A range of the file behind the program, and where the program says its offset."""

    offset: int
    size: int
    said_at: int


def shared(data: bytes) -> bytes:
    """The same program, without weights of delegates that are constants of it as well."""
    from executorch.exir._serialize._flatbuffer_program import _patch_generated_flatbuffer_aliases
    from executorch.exir._serialize._program import _get_extended_header
    from executorch.exir._serialize.generated.executorch_flatbuffer.Program import Program

    header = _get_extended_header(data)
    if header is None or not header.is_valid():
        return data
    _patch_generated_flatbuffer_aliases()  # the generated classes take their own modules for classes without it
    program, base = Program.GetRootAs(data), header.segment_base_offset
    segments = [_segment(program.Segments(at)) for at in range(program.SegmentsLength())]
    overlap = any(after.offset < before.offset + before.size for before, after in pairwise(segments))
    twice = {} if overlap else dict(_twice(program, segments, data[base:]))
    if not twice:
        return data
    whole, moved = bytearray(data[:base]), 0
    for at, segment in enumerate(segments):
        end = segments[at + 1].offset if at + 1 < len(segments) else header.segment_data_size
        if at in twice:
            moved += end - segment.offset
            offset = twice[at]
        else:
            offset = segment.offset - moved // _PAGE * _PAGE
            whole += (
                bytes(base + offset - len(whole)) + data[base + segment.offset : base + segment.offset + segment.size]
            )
        if segment.said_at:
            struct.pack_into("<Q", whole, segment.said_at, offset)
    header.segment_data_size = len(whole) - base
    said = header.to_bytes()
    whole[_HEADER_AT : _HEADER_AT + len(said)] = said
    return bytes(whole)


def _segment(table: Any) -> _Segment:
    field = table._tab.Offset(_OFFSET)  # noqa: SLF001 - the generated class has no name for the place of a field
    return _Segment(table.Offset(), table.Size(), table._tab.Pos + field if field else 0)  # noqa: SLF001


def _twice(program: Any, segments: list[_Segment], data: bytes) -> Iterator[tuple[int, int]]:
    """Segments of delegates whose bytes are those of a constant, and where that lies."""
    constants = program.ConstantSegment()
    if constants is None:
        return
    own = segments[constants.SegmentIndex()]
    starts = [constants.Offsets(at) for at in range(constants.OffsetsLength())]
    rooms = [end - start for start, end in zip(starts, [*starts[1:], own.size], strict=True)]
    for at in sorted({program.NamedData(one).SegmentIndex() for one in range(program.NamedDataLength())}):
        # constants that lie behind it would move as well
        size = segments[at].size if segments[at].said_at and at > constants.SegmentIndex() else 0
        wanted = data[segments[at].offset : segments[at].offset + size]
        for start, room in zip(starts, rooms, strict=True):
            place = own.offset + start
            if size >= _PAGE and size <= room < size + _PAGE and data[place : place + size] == wanted:
                yield at, place
                break
