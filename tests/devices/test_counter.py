"""The counting plugin of qemu, with a stand-in for qemu, under AddressSanitizer and UndefinedBehaviorSanitizer."""

import random
import struct
import subprocess
from pathlib import Path

import pytest
from debian import need
from native import SANITIZED

from edgewright.devices._emulation import counter

pytestmark = pytest.mark.slow
STUB = Path(__file__).parents[1] / "qemu_stub.c"
DOT, MATRIX, ADDS, PLAIN = 0x4E809400, 0x4E80A400, 0x4E20CC00, 0xD503201F
"""sdot, smmla, fmla and nop, as the Arm Architecture Reference Manual encodes them."""


def mark(number):
    return struct.pack("<II", 2**32 - 1, number)


def block(*codes):
    return struct.pack(f"<I{len(codes)}I", len(codes), *codes)


@pytest.fixture(scope="module", params=[1, 2, 3])
def plugin(request, tmp_path_factory):
    """The plugin and the stand-in in one program, for a version of the interface."""
    need("gcc", "gcc")
    out = tmp_path_factory.mktemp("counter") / "counter"
    sources = (str(counter._SOURCE), str(STUB))
    subprocess.run(["gcc", "-Wall", *SANITIZED, f"-DAPI={request.param}", *sources, "-o", str(out)], check=True)
    return out


def tallies(plugin, out, said):
    done = subprocess.run([str(plugin), f"out={out}"], input=said, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return [tuple(map(int, row.split())) for row in out.read_text().splitlines()]


def test_what_is_executed_between_two_marks_is_counted(plugin, tmp_path):
    said = block(PLAIN, DOT) + mark(0) + block(PLAIN, DOT, DOT, MATRIX) + block() + block(ADDS) + mark(1)
    said += block(DOT) + mark(0) + mark(2)
    assert tallies(plugin, tmp_path / "out", said) == [(1, 5, 2, 1, 1), (2, 0, 0, 0, 0)]


def test_no_instructions_make_it_do_what_c_forbids(plugin, tmp_path):
    luck = random.Random(1)
    blocks = [[luck.getrandbits(32) for _ in range(luck.choice((0, 1, 7, 500)))] for _ in range(300)]
    said = mark(0) + b"".join(block(*codes) for codes in blocks) + mark(2**32 - 2)
    ((number, count, *_),) = tallies(plugin, tmp_path / "out", said)
    assert (number, count) == (2**32 - 2, sum(map(len, blocks)))
