"""What engines print is kept off standard error by whoever is inside, until the last one leaves."""

import os

import pytest

from edgewright.runtimes._quiet import quiet


@pytest.mark.parametrize("first", [0, 1])
def test_two_that_overlap_leave_standard_error_as_it_was(capfd, first):
    ways = [quiet(), quiet()]
    for way in ways:
        way.__enter__()
        os.write(2, b"an engine")
    ways.pop(first).__exit__(None, None, None)
    os.write(2, b"another engine")
    ways.pop().__exit__(None, None, None)
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
