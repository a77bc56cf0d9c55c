"""A language model in numpy, for what is asked of any: the next token's logits go by the last tokens."""

from functools import lru_cache

import numpy as np

from edgewright.contracts.decoder import Decoder, Rows
from edgewright.runtimes._decoding.kept_states import KeptStates


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

    def _swap(self, one, other):
        one, other = self.decoders[one], self.decoders[other]
        one._seen, other._seen = other._seen, one._seen


class Recurrent(Bigram):
    """One whose cache is a number that all tokens so far have made: it is kept where a reading of several ended."""

    def __init__(self, vocabulary=32, context=64, seed=0):
        super().__init__(vocabulary, context, seed)
        self._states = KeptStates(np.zeros(1, np.int64))

    def held(self, length):
        return self._states.held(length, self.length)

    def _rewind(self, length):
        if length != self.length:
            self._states.go_back(length)

    def _run(self, ids, kept):
        self.calls.append(len(ids))
        logits, state = [], self._states.now
        for token in ids:
            state[0] = (5 * state[0] + token + 1) % 64
            logits.append(self._table[state[0] % 4, token])
        if len(ids) > 1:
            self._states.keep(self.length + len(ids))
        return np.stack(logits[-kept:])

    def _keys_and_values(self, _length):
        return [self._states.now.copy()]

    def _take(self, arrays, _length):
        self._states.take(arrays[0])
