"""Noise against signal, by hand."""

import numpy as np
import pytest

from edgewright.statistics.signal import NO_ERROR_DB, rms, sqnr_db


def test_a_tenth_of_the_signal_is_20_db_below_it():
    want = np.array([3.0, -4.0])
    assert sqnr_db(want, 0.1 * want) == pytest.approx(20)
    assert sqnr_db(want, 10 * want) == pytest.approx(-20)


def test_silence_and_no_error_stay_finite():
    silence, noise = np.zeros(3), np.full(3, 1e-30)
    assert sqnr_db(np.ones(3), silence) == NO_ERROR_DB
    assert sqnr_db(silence, noise) == -NO_ERROR_DB
    assert sqnr_db(silence, silence) == NO_ERROR_DB
    assert sqnr_db(np.ones(3), noise) == NO_ERROR_DB


def test_rms_counts_numbers_and_not_arrays():
    assert rms([{"a": np.array([[3.0, 4.0]], np.float16)}, {"a": np.zeros((2, 1))}]) == pytest.approx(2.5)
