import numpy as np
import pytest

from edgewright.contracts.decoder import room


@pytest.mark.parametrize(
    "given",
    [
        np.zeros((1, 2, 3, 4), np.float64),
        np.zeros((1, 2, 4, 4), np.float32),
        np.zeros((1, 1, 1, 1), np.float32),
        np.zeros(4, np.float32),
    ],
)
def test_a_cache_of_another_shape_or_type_is_not_repeated_until_it_fits(given):
    buffer = np.ones((1, 2, 8, 4), np.float32)
    assert room(buffer, 3, np.zeros((1, 2, 3, 4), np.float32)).shape == (1, 2, 3, 4)
    with pytest.raises(ValueError, match="is wanted"):
        room(buffer, 3, given)
