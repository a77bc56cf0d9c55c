import pytest

from edgewright.system.words import counted, human


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (44_000, "44 kB"),
        (4_034_567, "4.03 MB"),
        (7e12, "7e+03 GB"),
    ],
)
def test_bytes_have_a_unit_and_are_never_a_rounded_nothing(size, words):
    assert human(size) == words


@pytest.mark.parametrize(
    ("number", "thing", "words"),
    [
        (0, "file", "0 files"),
        (1, "file", "1 file"),
        (2, "process", "2 processes"),
        (1, "process", "1 process"),
        (3, "entry", "3 entries"),
        (1200, "batch", "1,200 batches"),
    ],
)
def test_things_are_counted(number, thing, words):
    assert counted(number, thing) == words
