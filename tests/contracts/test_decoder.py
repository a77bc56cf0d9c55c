import numpy as np
import pytest
from bigram import Bigram

from edgewright.contracts.decoder import Alone, room
from edgewright.errors import UsageError


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


def test_one_text_alone_is_a_batch_of_one():
    alone, wanted = Alone(Bigram()), Bigram()
    for decoder in (*alone.decoders, wanted):
        decoder.read([3, 5])
    assert (alone.step([7]) == wanted.read([7])).all()
    alone.swap(0, 0)
    alone.copy(0, 0, 3)
    assert alone.decoders[0].length == 3
    with pytest.raises(UsageError, match="2 tokens for 1 texts"):
        alone.step([7, 8])
