"""Weights on huge pages, from inside the process: decoding reads every weight for every token, and page walks cost.

glibc gives each large block a mapping of its own, and matrices below 2 MB then hold no whole huge page. A higher
threshold puts them side by side on the heap. The heap is made as large as the weights before they come, so that its
pages are huge ones from their first touch: SmolLM2-135M at int8 is opened in 0.12 s of the processor so, and in 0.6 s
where small pages are gathered afterwards (MADV_COLLAPSE, Linux 6.1), which is left for what lies elsewhere. It wrote 70
tokens a second without, and 110 with. Where the kernel refuses, nothing changes.

An encoder would answer as fast on small pages. But opening it writes its weights twice, as they are read and as they
are packed, and the first touch of each small page is a fault of the processor: MiniLM at int8 has 12,000 of them, half
of the time that it takes to open, and some 1,000 on `fresh_pages`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["fresh_pages", "give_back", "huge_pages", "let_go"]

_SMALL_PAGE, _PAGE = 4 << 10, 2 << 20
"""Bytes of a page and of a huge one, on x86-64 and most of arm64; a Raspberry Pi 5 has 16 KiB, and 32 MiB."""
_MMAP_THRESHOLD, _TOP_PAD = -3, -2
"""M_MMAP_THRESHOLD and M_TOP_PAD of mallopt(3)."""
_ON_THE_HEAP = 32 << 20
"""glibc's own largest threshold on 64 bits (DEFAULT_MMAP_THRESHOLD_MAX)."""
_PAD = 16 << 20
"""The heap grows by so much: a choice, eight huge pages a call."""
_MOST = 2**31 - 2**27
"""mallopt takes an int; what is larger is put on huge pages afterwards."""
_MADV_DONTNEED, _MADV_HUGEPAGE, _MADV_COLLAPSE = 4, 14, 25
"""asm-generic/mman-common.h."""


_IN_MEMORY, _OF_A_FILE = 0xC0, 0x20
"""Of the highest byte of an entry of pagemap: present or swapped, and not anonymous (Documentation/admin-guide/mm)."""


class _MallInfo(ctypes.Structure):
    """`struct mallinfo2` of glibc 2.33 and newer: nine numbers, and what lies unused at the end of the heap."""

    _fields_ = [("others", ctypes.c_size_t * 9), ("keepcost", ctypes.c_size_t)]


@contextlib.contextmanager
def huge_pages(expected: int) -> Iterator[None]:
    """Put what is allocated in the block, about so many bytes, on huge pages; only on Linux with glibc."""
    libc = _glibc()
    if libc is None:
        yield
        return
    with _roomy(libc, expected):
        yield
    heap = libc.sbrk(0)
    used = (heap - (libc.mallinfo2().keepcost if hasattr(libc, "mallinfo2") else 0)) // _PAGE * _PAGE
    for low, high in _writable():
        # Of the heap what nobody has touched costs nothing, and shall not
        end = min(high, used) if low < heap else high
        libc.madvise(low, max(0, end - low), _MADV_HUGEPAGE)
        libc.madvise(low, max(0, end - low), _MADV_COLLAPSE)


@contextlib.contextmanager
def fresh_pages(expected: int) -> Iterator[None]:
    """The same where only the first touch shall be cheap: nothing is gathered afterwards, no huge page is larger."""
    libc = _glibc()
    if libc is None or os.sysconf("SC_PAGE_SIZE") != _SMALL_PAGE:
        yield
        return
    with _roomy(libc, expected):
        yield


@contextlib.contextmanager
def _roomy(libc: ctypes.CDLL, expected: int) -> Iterator[None]:
    """Have room for so many bytes at the end of the heap, on huge pages, where blocks of all sizes go."""
    libc.mallopt(_MMAP_THRESHOLD, _ON_THE_HEAP)
    libc.mallopt(_TOP_PAD, min(expected, _MOST) + _PAD)
    low = libc.sbrk(0)
    libc.free(libc.malloc(_PAD))
    libc.madvise(-(-low // _PAGE) * _PAGE, (libc.sbrk(0) - low) // _PAGE * _PAGE, _MADV_HUGEPAGE)
    try:
        yield
    finally:  # a model that does not open leaves no room behind
        libc.mallopt(_TOP_PAD, _PAD)


def give_back() -> None:
    """Give the system the memory back that was freed; where it is glibc's to give."""
    if libc := _glibc():
        libc.malloc_trim(0)


def let_go(*files: Path) -> None:
    """Give the system the pages back that are mapped of files: weights that have been packed, code that has run.

    What is read of them again comes from the file again; a mapping that somebody wrote to stays, such as the addresses
    of a library. Only on Linux: it takes a millisecond or two.
    """
    libc, names = _glibc(), {str(file.resolve()) for file in files}
    if libc is None:
        return
    with contextlib.suppress(OSError), Path("/proc/self/pagemap").open("rb", buffering=0) as pages:
        for line in Path("/proc/self/maps").read_text().splitlines():
            if line[line.find("/") :] not in names:
                continue
            low, high = (int(end, 16) for end in line[: line.index(" ")].split("-"))
            if not _written(pages.fileno(), low, high):
                libc.madvise(low, high - low, _MADV_DONTNEED)


def _written(pagemap: int, low: int, high: int) -> bool:
    """Whether a page of a mapping is there, or swapped out, and not what the file has."""
    size = os.sysconf("SC_PAGE_SIZE")
    entries = os.pread(pagemap, (high - low) // size * 8, low // size * 8)
    last = 7 if sys.byteorder == "little" else 0
    return any(one & _IN_MEMORY and not one & _OF_A_FILE for one in set(entries[last::8]))


def _glibc() -> ctypes.CDLL | None:
    if platform.libc_ver()[0] != "glibc" or not Path("/sys/kernel/mm/transparent_hugepage").is_dir():
        return None
    libc = ctypes.CDLL(None)
    libc.malloc_trim.argtypes = [ctypes.c_size_t]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.sbrk.restype = libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    libc.sbrk.argtypes = [ctypes.c_ssize_t]
    if hasattr(libc, "mallinfo2"):
        libc.mallinfo2.restype = _MallInfo
    return libc


def _writable() -> list[tuple[int, int]]:
    """Where whole huge pages fit into this process's own anonymous memory."""
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        low, high, mode, name = re.match(r"(\w+)-(\w+) (\S+) \S+ \S+ \S+\s*(.*)", line).groups()  # type: ignore[union-attr]
        start, end = -(-int(low, 16) // _PAGE) * _PAGE, int(high, 16) // _PAGE * _PAGE
        if mode == "rw-p" and name in ("", "[heap]") and end > start:
            found.append((start, end))
    return found
