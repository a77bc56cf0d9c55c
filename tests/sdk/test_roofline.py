"""The bound that a machine's peaks set, and their measuring."""

import pytest

from edgewright.errors import UsageError
from edgewright.roofline import Roofline, roofline

HERE = Roofline(threads=1, fp32_gmac_s=50, int8_gmac_s=200, read_gb_s=20)


def test_the_slower_of_computing_and_reading_is_the_bound():
    assert HERE.bound_ms(macs=1e9, weight_bytes=0, integer=False) == 20
    assert HERE.bound_ms(macs=1e9, weight_bytes=0, integer=True) == 5
    assert HERE.bound_ms(macs=1e6, weight_bytes=2e9, integer=True) == 100


def test_more_threads_than_cores_are_refused():
    with pytest.raises(UsageError, match="4096 threads were asked, this machine has"):
        roofline(4096)


@pytest.mark.slow
def test_this_machine_has_peaks():
    pytest.importorskip("onnxruntime")
    found = roofline()
    assert found.threads == 1
    assert 0.1 < found.fp32_gmac_s < 10_000
    assert 0.1 < found.int8_gmac_s < 100_000
    assert 0.1 < found.read_gb_s < 10_000
