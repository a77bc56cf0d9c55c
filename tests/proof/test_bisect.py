import math

import numpy as np
import pytest

from edgewright.proof.bisect import Finding, _departure, _first_not_finite, _noise

TAPS = ["embeddings", "layer.0", "layer.1", "layer.2"]


def test_an_exact_stage_departs_at_its_first_layer_that_differs():
    found = _departure("optimise", TAPS, [120.0, 118.0, 31.0, 12.0], 200.0, lossy=False)
    assert found == Finding("optimise", "layer.1", 31.0, 118.0)


def test_an_exact_stage_where_all_agree_departs_nowhere():
    assert _departure("export", TAPS, [200.0, 130.0, 120.0, 110.0], 200.0, lossy=False).layer == ""


def test_a_lossy_stage_departs_where_most_is_lost_not_where_noise_begins():
    found = _departure("quantize", TAPS, [37.0, 31.0, 4.0, 2.0], 200.0, lossy=True)
    assert found == Finding("quantize", "layer.1", 4.0, 31.0)


def test_the_first_layer_is_held_against_what_came_before_it():
    assert _departure("quantize", ["layer.1.query"], [3.0], 35.0, lossy=True).before_db == 35.0


def test_no_taps_no_layer():
    assert _departure("quantize", [], [], 200.0, lossy=True).layer == ""


def test_noise_is_taken_over_all_texts_and_the_output_comes_last():
    eager = [{"logits": np.ones(2), "tap_0": np.ones((1, 2, 3))}, {"logits": np.ones(2), "tap_0": np.ones((1, 4, 3))}]
    ours = [{**batch, "tap_0": batch["tap_0"] * 0.9} for batch in eager]
    assert _noise(eager, ours) == pytest.approx([20.0, 200.0])
    ours[1]["tap_0"] = ours[1]["tap_0"] * math.nan
    assert _noise(eager, ours)[0] == -200.0


def test_the_first_layer_that_is_not_finite():
    batch = {"tap_0": np.ones((1, 1, 2)), "tap_1": np.array([[[np.inf, 0.0]]]), "tap_2": np.array([[[np.nan, 0.0]]])}
    assert _first_not_finite(TAPS, [batch])[0] == "layer.0"


def test_a_finding_says_stage_layer_and_both_numbers():
    words = str(Finding("quantize", "layer.1", 4.04, 31.0))
    assert words == "it departs in stage quantize, first at layer.1: SQNR 4.0 dB, 31.0 dB before it"
    assert "no layer" in str(Finding("quantize", "", 1.0, 2.0))
