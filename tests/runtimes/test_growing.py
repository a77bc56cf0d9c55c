import numpy as np
import pytest

from edgewright.errors import UsageError
from edgewright.runtimes._decoding.growing import GrowingDecoder


class Writes(GrowingDecoder):
    """Keeps each token as the key of its place."""

    def __init__(self, context):
        super().__init__(9, context, [(2, 3, np.float32), (1, 3, np.float32)])
        self.slots = []
        self._reserve()

    def _bind(self):
        self.slots.append(self._cache[0].shape[2])

    def _run(self, ids, kept):
        self._reserve(self.length + len(ids))
        for array in self._cache:
            array[:, :, self.length : self.length + len(ids)] = ids[None, None, :, None]
        return np.zeros((kept, 9), np.float32)


def test_what_was_read_stays_when_the_arrays_grow_and_they_grow_as_they_are_used():
    decoder, tokens = Writes(600), np.arange(600) % 9
    for at in range(0, 600, 50):
        decoder.read(tokens[at : at + 50])
    assert decoder.slots == [256, 512, 600]
    for array in decoder.keys_and_values():
        assert (array == tokens[None, None, :, None]).all()
    with pytest.raises(UsageError, match="1 tokens after 600, the context is 600"):
        decoder.read([1])


def test_a_kept_cache_is_taken_by_a_decoder_that_has_no_room_yet():
    decoder, other = Writes(600), Writes(600)
    decoder.read(np.arange(300) % 9)
    other.restore(decoder.keys_and_values(), 300)
    assert [(a == b).all() for a, b in zip(other.keys_and_values(), decoder.keys_and_values(), strict=True)] == [
        True
    ] * 2
    assert Writes(40).slots == [40]
