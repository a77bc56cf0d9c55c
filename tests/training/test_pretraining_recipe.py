"""Settings of a training from nothing: what cannot be is refused, and the learning rate rises and falls."""

import math

import pytest

from edgewright.errors import UsageError
from edgewright.training.pretraining_recipe import PretrainingRecipe


def test_the_rate_rises_in_a_line_and_falls_by_a_cosine():
    recipe = PretrainingRecipe(learning_rate=2.0, warmup=0.1, floor=0.1)
    rates = [recipe.rate(step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert rates[10] == 2.0
    assert rates[55] == pytest.approx(2.0 * (0.1 + 0.9 / 2))
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert recipe.rate(100, 100) == pytest.approx(0.2)
    assert all(math.isfinite(recipe.rate(step, 1)) for step in range(2))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0, it must be above 0"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"batch": 0}, "batch is 0, it must be at least 1"),
        ({"tokens": -1}, "tokens is -1, it must be at least 0"),
        ({"dropout": 1.0}, "dropout is 1, a share of at most 0.999"),
        ({"validation": 0.0}, "validation is 0.0, it must be above 0"),
        ({"warmup": 2.0}, "warmup is 2, a share of at most 1"),
        ({"precision": "int8"}, "unknown precision 'int8'; choose from auto, fp32, bf16, fp16"),
    ],
)
def test_what_cannot_be_is_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        PretrainingRecipe(**settings)
