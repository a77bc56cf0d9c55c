"""Parameters whose first values stand for the others: the gate asks those, and `tools/proofs` the rest."""

import pytest


def first(count, values):
    """The values of a parameter, in their order; those behind the first `count` are heavy."""
    return [value if at < count else _heavy(value) for at, value in enumerate(values)]


def some(light, values):
    """The values of a parameter, in their order; those that are not among the light ones are heavy."""
    values = list(values)
    assert {*light} <= {*values}
    return [value if value in light else _heavy(value) for value in values]


def _heavy(value):
    return pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.heavy)
