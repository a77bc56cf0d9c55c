"""Rows in groups, whose keys and values are arrays of ours: each row's logits tell all that it read and wrote."""

import numpy as np
import pytest

from edgewright.errors import EngineError, UsageError
from edgewright.runtimes._decoding.litert_translator import LitertTranslator
from edgewright.runtimes._decoding.one_source import OneSourceTranslator


class Told(OneSourceTranslator):
    """An engine in numpy: a source is its tokens, and a row's logits are those and the tokens that it has written."""

    def __init__(self):
        super().__init__(24, 12, beams=4, shapes=[(1, 1), (1, 1)])

    def _read(self, ids):
        return ids

    def _room(self, cross, steps):
        return min(self.context, max(len(cross), 4 * -(-steps // 4)))

    def _bind(self, group):
        return group.past

    def _advance(self, group, tokens):
        assert len(tokens) == group.rows
        keys, values = (array[:, 0, : self.length, 0] for array in group.given)
        assert np.array_equal(-keys, values)
        logits = np.zeros((group.rows, self.vocabulary), np.float32)
        logits[:, : len(group.cross)] = group.cross + 1  # a token of padding would be seen
        logits[:, 12 : 12 + self.length] = keys
        logits[:, 12 + self.length] = tokens
        return logits, np.stack([tokens, -tokens])[:, :, None, None].astype(np.float32)


def told(logits):
    return [[int(one) for one in row[12:] if one] for row in logits]


@pytest.mark.parametrize("beams", [1, 2, 4, 6, 9])
def test_each_row_goes_on_from_the_row_it_was_told(beams):
    """Twelve steps, in which the arrays grow twice; of three sources the second ends after five."""
    model, rng = Told(), np.random.default_rng(beams)
    sources = [[3, 1], [5], [7, 2, 9]]
    model.begin(sources, beams=beams)
    written = [[] for _ in range(3 * beams)]
    for step in range(12):
        tokens = rng.integers(1, 100, model.rows)
        written = [[*row, int(token)] for row, token in zip(written, tokens, strict=True)]
        logits = model.step(tokens)
        assert told(logits) == written
        read = [[int(one) for one in row[:12]] for row in logits]
        assert read == [
            [one + 1 for one in source] + [0] * (12 - len(source)) for source in sources for _ in range(beams)
        ], "no padding"
        rows = np.concatenate([at * beams + rng.integers(0, beams, beams) for at in range(len(sources))])
        model.reorder(rows)
        written = [written[row] for row in rows]
        if step == 5:
            assert model.keep(np.array([0, 2]))
            sources, written = [sources[0], sources[2]], written[:beams] + written[2 * beams :]
    with pytest.raises(UsageError, match="the context is 12"):
        model.step(tokens)
    model.begin([[8]])
    assert told(model.step([4])) == [[4]], "what was there before is forgotten"


STEP = {"tokens": (1, 1), "kv_cache_0": (1, 2, 16, 8), "logits": (1, 24)}


@pytest.mark.parametrize(
    "signatures",
    [
        {},
        {"decode": STEP, "prefill_64": STEP},
        {"encode_16": {}, "decode_16": STEP},
        {"encode_32": {}, "decode_16": STEP, "beams_16": STEP},
        {"encode_16": {}, "decode_16": {"tokens": (1, 1), "logits": (1, 24)}, "beams_16": STEP},
        {"encode_16": {}, "decode_16": {**STEP, "logits": ()}, "beams_16": STEP},
        {"encode_": {}, "decode_x": STEP, "beams_16": STEP},
    ],
)
def test_a_file_of_others_is_refused_by_its_signatures(signatures):
    with pytest.raises(EngineError, match=f"has the signatures {next(iter(signatures), 'none')}"):
        LitertTranslator(signatures, 16, lambda _: pytest.fail("it was run"))
