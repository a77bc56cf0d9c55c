"""A language model in numpy, for what is asked of any: the next token's logits go by the last tokens."""

import numpy as np

from edgewright.contracts.decoder import Decoder
from edgewright.runtimes._decoding.kept_states import KeptStates


class Bigram(Decoder):
    """Random logits, the same for the same seed, that soon come again; its cache are the tokens."""

    def __init__(self, vocabulary=32, context=64, seed=0):
        super().__init__(vocabulary, context)
        self._table = np.random.default_rng(seed).normal(size=(4, vocabulary, vocabulary)).astype(np.float32)
        self._seen = np.zeros(context, np.int64)
        self.calls = []

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


class Recurrent(Bigram):
    """One whose cache is a number that all tokens so far have made: it is kept where a reading of several ended."""

    def __init__(self, vocabulary=32, context=64, seed=0):
        super().__init__(vocabulary, context, seed)
        self._states = KeptStates((1,), np.int64)

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
