"""The shape of a student."""

import pytest

from edgewright.errors import UsageError
from edgewright.training.student import Shape


@pytest.mark.parametrize("fields", [{"take": (2, 1)}, {"take": (0,), "width": 64}, {"take": (1, 1)}])
def test_a_shape_that_cannot_be_is_refused(fields):
    with pytest.raises(UsageError):
        Shape(**fields)
