"""Rounding to 4 bits: what GPTQ must win, and what the layouts must hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def factor(x):
    from edgewright.converters._rounding.gptq import Moments

    moments = Moments()
    moments.add("x", x)
    return moments.factor("x")


def restored(codes, scales, zeros):
    return (codes.astype(np.float32) - zeros[..., None]) * scales[..., None]


def test_gptq_makes_up_for_errors_where_inputs_go_together():
    from edgewright.converters._rounding.gptq import round_blocks

    rng = np.random.default_rng(0)
    weight = rng.normal(size=(96, 40)).astype(np.float32)
    x = (rng.normal(size=(500, 12)) @ rng.normal(size=(12, 96)) + 0.1 * rng.normal(size=(500, 96))).astype(np.float32)
    errors = {}
    for name, met in (("aware", x), ("plain", np.eye(96))):
        back = restored(*round_blocks(weight, factor(met), 32)).reshape(40, 96).T
        errors[name] = np.square(x @ back - x @ weight).mean()
    assert errors["aware"] < 0.5 * errors["plain"]


def test_a_block_to_one_side_of_zero_has_all_its_codes_with_a_shift():
    from edgewright.converters._rounding.gptq import round_blocks, round_shifted

    rng = np.random.default_rng(0)
    x, aside = rng.normal(size=(500, 96)), rng.normal(size=(40, 3, 1))
    weight = (rng.normal(size=(40, 3, 32)) + 3 * aside).reshape(40, 96).astype(np.float32)
    codes, scales, shifts = round_shifted(weight.T, factor(x), 32)
    shifted = restored(codes, scales, np.full_like(scales, 8)) + shifts[..., None]
    plain = restored(*round_blocks(weight.T, factor(x), 32, symmetric=True))
    errors = [np.square((each.reshape(40, 96) - weight) @ x.T).mean() for each in (shifted, plain)]
    assert errors[0] < 0.3 * errors[1]
    assert (scales.view(np.uint32) & 0xFFFF == 0).all(), "exact in bfloat16"


def test_codes_of_a_grid_with_a_least_weight_are_found_again():
    """As Q4_1 of GGUF files has them: a code times a step, and the least weight of the block."""
    from edgewright.converters._rounding.gptq import round_shifted

    rng = np.random.default_rng(1)
    codes = rng.integers(0, 16, (40, 3, 32))
    codes[..., :2] = 0, 15
    steps, least = rng.integers(128, 256, (40, 3, 1)) / 2**10, rng.normal(size=(40, 3, 1))
    weight = (codes * steps + least).reshape(40, 96).astype(np.float32)
    found, scales, shifts = round_shifted(weight.T, factor(rng.normal(size=(500, 96))), 32)
    assert (found == codes).all()
    back = restored(found, scales, np.full_like(scales, 8)) + shifts[..., None]
    assert np.abs(back.reshape(40, 96) - weight).max() < 1e-5


@pytest.mark.parametrize("inputs", [32, 33, 64, 80])
def test_what_pads_a_block_is_zero(inputs):
    from edgewright.converters._rounding.gptq import round_blocks

    weight = np.random.default_rng(inputs).normal(size=(inputs, 8)).astype(np.float32)
    codes, scales, zeros = round_blocks(weight, factor(np.eye(inputs)), 32)
    back = restored(codes, scales, zeros).reshape(8, -1)
    assert (back[:, inputs:] == 0).all()
    assert np.abs(back[:, :inputs] - weight.T).max() <= scales.max()
    assert (scales == scales.astype(np.float16)).all()


@pytest.mark.parametrize("symmetric", [False, True])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), inputs=st.sampled_from([32, 64, 96]), levels=st.integers(1, 8))
def test_weights_that_lie_on_a_grid_stay_as_they_are(symmetric, seed, inputs, levels):
    from edgewright.converters._rounding.gptq import round_blocks, round_rows

    rng = np.random.default_rng(seed)
    scales = 2.0 ** rng.integers(-12, 3, (5, inputs // 32, 1)) * (rng.integers(128, 256, (5, inputs // 32, 1)) / 128)
    codes = rng.integers(-levels, levels, (5, inputs // 32, 32)) * (rng.random((5, inputs // 32, 32)) < 0.7)
    weight = (codes * scales).astype(np.float32).reshape(5, inputs)
    x = rng.normal(size=(50, inputs))
    assert (restored(*round_blocks(weight.T, factor(x), 32, symmetric=symmetric)).reshape(5, inputs) == weight).all()
    rows, steps, zeros = round_rows(weight, 32)
    assert (restored(rows.reshape(5, -1, 32), steps, zeros).reshape(5, inputs) == weight).all()


def test_a_grid_is_found_again_after_a_constant_was_multiplied_in():
    from edgewright.converters._rounding.gptq import own_scales

    rng = np.random.default_rng(5)
    scales = 2.0 ** rng.integers(-9, 0, (200, 1)) * (rng.integers(128, 256, (200, 1)) / 128)
    weight = (rng.integers(-8, 8, (200, 32)) * scales).astype(np.float32)
    moved = weight * np.float32(32**-0.5)
    own = own_scales(moved)[:, None]
    back = np.rint(moved / own) * own
    assert (own > 0).all()
    assert np.abs(back - moved).max(1).max() <= 2.0**-8 * np.abs(moved).max()
    assert (own_scales(rng.normal(size=(200, 32)).astype(np.float32)) == 0).all()


def test_weights_of_zero_and_inputs_that_no_text_reaches_stay_finite():
    from edgewright.converters._rounding.gptq import round_blocks, round_rows

    for x in (np.zeros((32, 32)), np.ones((32, 32)), np.diag([1.0] + [0.0] * 31)):
        codes, scales, zeros = round_blocks(np.zeros((32, 4), np.float32), factor(x), 32)
        assert (restored(codes, scales, zeros) == 0).all()
    codes, scales, zeros = round_rows(np.zeros((3, 40), np.float32), 32)
    assert codes.shape == (3, 40)
    assert scales.shape == zeros.shape == (3, 2)


def test_a_range_is_cut_where_few_values_stretch_it():
    from edgewright.converters._onnx.static import _least_noise

    edges = np.linspace(-1, 10, 4097)
    counts = np.exp(-np.square((edges[1:] + edges[:-1]) / 2 / 0.5)) * 1e6
    counts[-1] = 1
    scale, zero = _least_noise(edges, counts)
    assert scale < 4 / 255
    assert 0 <= zero <= 255
