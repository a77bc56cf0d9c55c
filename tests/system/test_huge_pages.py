"""Where memory for weights lies, by what the kernel says: whether it has large pages to give is its own affair."""

import contextlib
import json
import mmap
import platform
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgewright.system import huge_pages as memory

SCRIPT = """
import ctypes, json, re, sys
from edgewright.system import huge_pages

pages = getattr(huge_pages, sys.argv[1])

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p

def resident():
    return 1024 * int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])

before = resident()
with pages(64 << 20):
    matrices = [libc.malloc(ctypes.c_size_t(700_000)) for _ in range(40)]
    for one in matrices:
        ctypes.memset(ctypes.c_void_p(one), 1, 700_000)
parts, low = [], 0
for line in open("/proc/self/smaps"):
    if found := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
        low, high = (int(end, 16) for end in found.groups())
    elif line.startswith("VmFlags:"):
        parts.append((low, high, "hg" in line.split()))
inside = sum(any(low <= one and one + 700_000 <= high and asked for low, high, asked in parts) for one in matrices)
print(json.dumps({"inside": inside, "grown": resident() - before}))
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not Path("/sys/kernel/mm/transparent_hugepage").is_dir(),
    reason="huge pages are asked for on Linux with glibc",
)
@pytest.mark.parametrize(("pages", "least"), [("huge_pages", 38), ("fresh_pages", 36)])
def test_matrices_lie_where_huge_pages_were_asked_for_and_no_more_is_taken_than_they_need(pages, least):
    """The first fills a gap, up to three lie before the first whole page: only `huge_pages` gathers these later."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, pages], capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(done.stdout)
    assert found["inside"] >= least
    assert found["grown"] < 40 * 700_000 + (8 << 20), "64 MiB were expected, 28 MB came"


def test_where_a_huge_page_is_a_large_thing_a_start_asks_for_none(monkeypatch):
    asked = []
    monkeypatch.setattr(memory, "_glibc", object)
    monkeypatch.setattr(memory, "_roomy", lambda _, expected: asked.append(expected) or contextlib.nullcontext())
    for size in (4096, 16384):
        monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": size}.get)
        with memory.fresh_pages(size):
            pass
    assert asked == [4096], "with pages of 16 KiB a huge one has 32 MiB"


def resident(mapping):
    """KiB of each mapping of a file that are in memory, by their first addresses."""
    smaps = Path("/proc/self/smaps").read_text()
    found = re.findall(rf"^(\w+)-.* {re.escape(str(mapping))}\n(?:(?!\w+-).*\n)*?Rss: +(\d+)", smaps, re.MULTILINE)
    return sorted(int(size) for _, size in found)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the system's C library is asked")
def test_pages_of_files_are_let_go_but_for_those_that_somebody_wrote_to(tmp_path):
    path = tmp_path / "weights.data"
    path.write_bytes(bytes(range(256)) * 4096)
    with path.open("rb") as file:
        read, written = (mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=3) for _ in range(2))
    written[5] = 77
    whole = read[:], written[:]
    assert resident(path) == [1024, 1024]
    memory.let_go(tmp_path / "another.data")
    assert resident(path) == [1024, 1024], "another file"
    (tmp_path / "link").symlink_to(path)
    memory.let_go(tmp_path / "another.data", tmp_path / "link")
    assert resident(path) == [0, 1024]
    assert (read[:], written[:]) == whole


def test_a_model_that_does_not_open_leaves_no_room_behind():
    asked = []
    libc = SimpleNamespace(
        mallopt=lambda *given: asked.append(given), sbrk=lambda _: 0, malloc=lambda _: 0, free=lambda _: 0,
        madvise=lambda *_: 0,
    )  # fmt: skip
    with pytest.raises(OSError, match="no model"), memory._roomy(libc, 64 << 20):
        raise OSError("no model")
    assert [room for option, room in asked if option == memory._TOP_PAD] == [(64 << 20) + memory._PAD, memory._PAD]
