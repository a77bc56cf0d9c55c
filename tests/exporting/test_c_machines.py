"""The C core compiled for an emulated board: what it answers and writes there is what Python does here."""

import c_machines
import c_programs
import c_writers
import pytest
from debian import need

import edgewright
from edgewright.errors import DeviceError
from edgewright.exporting.c import export_c

pytestmark = pytest.mark.slow
TEXTS = ("Maria lives in Paris", "the Trailblazers of Lagos lost, é 😀")
ROUNDED = 1e-5
"""Sums of float32 in another order: tools/c_answers.py saw 3e-6 on these models."""


@pytest.fixture(scope="module")
def board():
    need("qemu-aarch64", "qemu-user")
    need("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")
    need("/usr/aarch64-linux-gnu/include/stdio.h", "libc6-dev-arm64-cross")  # only recommended by the compiler
    try:
        return c_machines.Emulated("cortex-a72")
    except DeviceError as error:
        if "cannot fetch" not in str(error):
            raise
        pytest.skip(f"no board can be emulated here: {error}")


def test_answers_of_an_emulated_board_are_those_of_python(made, board, tmp_path):
    place = made("bert", "token-classification", ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"))
    program = c_programs.compiled(tmp_path / "answers", "-O0", machine=board)
    found = c_programs.answers(program, place / "c" / "assets", list(TEXTS), machine=board)
    wanted = c_machines.HERE.python("answers", place / "bundle", TEXTS, {})
    assert sum(map(len, wanted)) > len(TEXTS)
    pairs = zip(found, wanted, strict=True)
    assert [c_programs.unlike("token-classification", mine, theirs, ROUNDED) for mine, theirs in pairs] == ["", ""]


def test_tokens_that_an_emulated_board_writes_are_those_of_python(talking, board, tmp_path):
    export_c(talking, out=tmp_path / "c")
    program = c_writers.compiled(tmp_path / "writing", "-O0", machine=board)
    settings = {"max_new_tokens": 12, "ignore_end": True}
    (found,) = c_writers.written(program, tmp_path / "c" / "assets", ["the road"], settings, machine=board)
    with edgewright.load(talking, careful=False) as writer:
        pieces = list(writer.stream("the road", **settings))
        assert (found.why, found.tokens, found.pieces) == ("", writer.last.tokens, pieces)
    assert len(found.tokens) == 12
