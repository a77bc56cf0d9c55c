"""A language model in numpy, for what is asked of any: the next token's logits go by the last tokens."""

from functools import lru_cache

import numpy as np

from edgewright.contracts.decoder import Decoder, Rows


@lru_cache(maxsize=8)
def table(vocabulary, seed):
    return np.random.default_rng(seed).normal(size=(4, vocabulary, vocabulary)).astype(np.float32)


class Bigram(Decoder):
    """Random logits, the same for the same seed, that soon come again; its cache are the tokens."""

    def __init__(self, vocabulary=32, context=64, seed=0):
        super().__init__(vocabulary, context)
        self._table = table(vocabulary, seed)
        self._seen = np.zeros(context, np.int64)
        self.calls = []
        self._made = (vocabulary, context, seed)

    def _rows(self, count):
        return BigramRows(count, *self._made)

    def _run(self, ids, kept):
        end = self.length + len(ids)
        self._seen[self.length : end] = ids
        self.calls.append(len(ids))
        before = np.concatenate([[0], self._seen[: end - 1]])
        return self._table[before[end - kept : end] % 4, self._seen[end - kept : end]]

    def _keys_and_values(self, length):
        return [self._seen[:length].copy()]

    def _take(self, arrays, length):
        self._seen[:length] = arrays[0]


class BigramRows(Rows):
    """Several of them, each token of each read by the one that it belongs to."""

    def __init__(self, count, *given):
        self.decoders = tuple(Bigram(*given) for _ in range(count))
        self.steps = []

    def _step(self, ids, lengths):
        self.steps.append(len(ids))
        assert lengths.tolist() == [one.length for one in self.decoders[: len(ids)]]
        return np.concatenate([one._run(ids[at : at + 1], 1) for at, one in enumerate(self.decoders[: len(ids)])])

    def _copy(self, source, target, length):
        self.decoders[target]._seen[:length] = self.decoders[source]._seen[:length]
