"""The bound that a machine's peaks set, and their measuring."""

import pytest

from edgewright.errors import UsageError
from edgewright.measure.roofline import Roofline, encoder_macs, roofline

HERE = Roofline(threads=1, fp32_gmac_s=50, int8_gmac_s=200, read_gb_s=20)


def test_the_slower_of_computing_and_reading_is_the_bound():
    bound = HERE.bound_ms
    assert bound(layers=1e9, scores=0, weight_bytes=0, integer=False) == 20
    assert bound(layers=1e9, scores=1e8, weight_bytes=0, integer=True) == 5 + 2
    assert bound(layers=1e6, scores=0, weight_bytes=2e9, integer=True) == 100


def test_the_work_of_an_encoder():
    minilm = {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}
    layers, scores = encoder_macs(minilm, 128)
    assert layers == 128 * 6 * (4 * 384 * 384 + 2 * 384 * 1536)
    assert scores == 6 * 2 * 128 * 128 * 384
    assert encoder_macs({"dim": 8, "n_layers": 1, "hidden_dim": 16}, 1) == (512, 16)
    assert encoder_macs({"hidden_size": 384}, 1) is None


def test_more_threads_than_cores_are_refused():
    with pytest.raises(UsageError, match="4096 threads were asked, this "):
        roofline(4096)


@pytest.mark.slow
def test_this_machine_has_peaks():
    pytest.importorskip("onnxruntime")
    found = roofline()
    assert found.threads == 1
    assert 0.1 < found.fp32_gmac_s < 10_000
    assert 0.1 < found.int8_gmac_s < 100_000
    assert 0.1 < found.read_gb_s < 10_000
