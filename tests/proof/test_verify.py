"""How near an engine must come to the recorded outputs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.bundle.manifest import Parity
from edgewright.errors import GateFailed
from edgewright.inference.golden import _allowed_rms, _check_outputs


@pytest.fixture
def wanted():
    return [np.array([1.0, -1.0]), np.array([7.0, -1.0])]


def parity(sqnr_db):
    return Parity(texts=9, max_abs=0.1, mean_abs=0.1, sqnr_db=sqnr_db, cosine=0.9, top1=None, worst_case="short")


def test_fp32_may_differ_by_a_thousandth_of_the_signal(make_artifact, wanted):
    artifact = make_artifact(parity=parity(119.4))
    assert _allowed_rms(artifact, wanted) == pytest.approx(1e-3 * math.sqrt(13))


def test_int8_may_differ_by_twice_its_own_noise(make_artifact, wanted):
    artifact = make_artifact(parity=parity(20.0))
    assert _allowed_rms(artifact, wanted) == pytest.approx(2 * 0.1 * math.sqrt(13))


def test_no_cases_allow_nothing(make_artifact):
    assert _allowed_rms(make_artifact(), []) == 0.0


@given(st.floats(0.0, 2.0))
def test_the_bound_is_where_it_fails(error):
    want = np.array([1.0, -2.0, 0.5])
    if error <= 1.0:
        _check_outputs("case", want, want + error, allowed=1.0)
    else:
        with pytest.raises(GateFailed, match=r"outputs differ by .* at most 1 is allowed"):
            _check_outputs("case", want, want + error, allowed=1.0)


def test_no_number_fails():
    with pytest.raises(GateFailed):
        _check_outputs("case", np.zeros(2), np.array([0.0, np.nan]), allowed=1.0)
