"""Threads that there are cores for."""

import os

import pytest

from edgewright.errors import UsageError
from edgewright.system.threads import check_threads


@pytest.mark.parametrize("threads", [-1, 0, (os.cpu_count() or 1) + 1])
def test_a_number_that_the_machine_has_not_is_refused(threads):
    check_threads(1)
    check_threads(os.cpu_count() or 1)
    with pytest.raises(UsageError, match=f"^{threads} threads were asked, this machine has {os.cpu_count()} cores"):
        check_threads(threads)
