"""The search of `edgewright.generation.beams`, beside transformers' own and beside trying everything."""

import itertools
import math

import numpy as np
import pytest
import translators

from edgewright.contracts.encoder_decoder import EncoderDecoder
from edgewright.errors import EngineError, UsageError
from edgewright.generation import beams
from edgewright.generation.beams import Rules, Search, write

WAYS = {
    "greedy": {"num_beams": 1},
    "four": {"num_beams": 4},
    "short and early": {"num_beams": 4, "length_penalty": 0.4, "early_stopping": True},
    "long and never": {"num_beams": 4, "length_penalty": 2.0, "early_stopping": "never"},
    "below zero": {"num_beams": 3, "length_penalty": -1.0},
}
RULES = Rules(start=0, ends=frozenset([1]))


class Chance(EncoderDecoder):
    """Logits by chance, of the source and of all that a row has written."""

    def __init__(self, vocabulary=5, context=6, broken=None):
        super().__init__(vocabulary, context)
        self._broken = broken

    def _begin(self, ids, mask, beams):
        self._read = np.repeat([hash(tuple(row[real > 0])) for row, real in zip(ids, mask, strict=True)], beams)
        self._written = [()] * len(self._read)

    def _step(self, tokens):
        self._written = [(*text, int(token)) for text, token in zip(self._written, tokens, strict=True)]
        rows = [self.logits(int(read), text) for read, text in zip(self._read, self._written, strict=True)]
        if self._broken is not None and self.length == self._broken:
            rows[0][2] = np.nan
        return np.array(rows, np.float32)

    def _reorder(self, rows):
        self._written = [self._written[row] for row in rows]

    def _keep(self, sources, rows):
        del sources
        self._read, self._written = self._read[rows], [self._written[row] for row in rows]
        return True

    def logits(self, read, text):
        return np.random.default_rng([read % 2**32, *text]).normal(0, 2, self.vocabulary)


def probability(model, read, text):
    """The log probability of a text."""
    total, before = 0.0, (RULES.start,)
    for token in text:
        logits = model.logits(read, before)
        total += float(logits[token] - logits.max() - np.log(np.exp(logits - logits.max()).sum()))
        before = (*before, token)
    return total


def test_a_search_with_room_for_all_finds_the_best_of_all_texts():
    model, source = Chance(vocabulary=4, context=4), [7, 7, 1]
    (found,) = write(model, [source], Search(num_beams=64, max_new_tokens=3, early_stopping="never"), RULES)
    texts = [text for n in (1, 2, 3) for text in itertools.product(range(4), repeat=n)]
    whole = [text for text in texts if 1 not in text[:-1] and (text[-1] == 1 or len(text) == 3)]
    best = max(whole, key=lambda text: probability(model, hash(tuple(source)), text) / len(text))
    assert found.tokens == best
    assert found.score == pytest.approx(probability(model, hash(tuple(source)), best) / len(best), abs=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_a_text_is_the_same_alone_and_beside_others(way):
    sources, search = [[5, 1], [3, 4, 2, 2, 1], [2, 1], [4, 4, 1]], Search(**WAYS[way], max_new_tokens=6)
    together = write(Chance(), sources, search, RULES)
    assert [one.tokens for one in together] == [write(Chance(), [s], search, RULES)[0].tokens for s in sources]


def test_a_text_ends_with_its_end_or_where_it_is_cut():
    for search in (Search(max_new_tokens=5), Search(num_beams=3, max_new_tokens=5)):
        for number in range(20):
            (found,) = write(Chance(), [[number, 1]], search, RULES)
            assert found.tokens[-1] == 1 or len(found.tokens) == 5
            assert 1 not in found.tokens[:-1]


@pytest.mark.parametrize("followed", [1, 3])
def test_what_is_banned_never_comes_and_what_is_forced_ends_a_cut_text(followed):
    rules = Rules(0, frozenset([1]), banned=(2, 3), forced=1, renormalize=followed == 3)
    for number in range(10):
        (found,) = write(Chance(), [[number, 1]], Search(num_beams=followed, max_new_tokens=4), rules)
        assert not {2, 3} & {*found.tokens}
        assert found.tokens[-1] == 1


def test_greedy_has_no_score_and_a_search_has():
    assert math.isnan(write(Chance(), [[3, 1]], Search(max_new_tokens=4), RULES)[0].score)
    assert write(Chance(), [[3, 1]], Search(num_beams=2, max_new_tokens=4), RULES)[0].score < 0


@pytest.mark.parametrize(
    "option",
    [
        {"num_beams": 0},
        {"num_beams": 65},
        {"num_beams": 2.0},
        {"max_new_tokens": 0},
        {"early_stopping": "soon"},
        {"length_penalty": float("nan")},
        {"length_penalty": 400},
        {"length_penalty": -400.0},
        {"length_penalty": "long"},
    ],
)
def test_an_option_without_a_meaning_is_refused(option):
    with pytest.raises(UsageError, match=next(iter(option))):
        Search(**option)


def test_a_logit_that_is_no_number_is_said():
    with pytest.raises(EngineError, match="logits of step 2 are not finite"):
        write(Chance(broken=2), [[3, 1]], Search(num_beams=2, max_new_tokens=5), Rules(0, frozenset([4]), banned=(4,)))


@pytest.mark.parametrize("sources", [[], [[]], [[1] * 7]])
def test_a_source_that_cannot_be_read_is_said(sources):
    with pytest.raises(UsageError, match="the context is 6"):
        write(Chance(), sources, Search(), RULES)


@pytest.mark.parametrize("size", [5, 100, 64 * 8, 64 * 8 + 5, 4001])
def test_the_largest_are_those_of_a_stable_sort(size):
    """With many equal values and with none but one that is above nothing at all."""
    rng = np.random.default_rng(size)
    lone = np.full(size, -np.inf, np.float32)
    lone[size // 2] = 0
    for values in (rng.normal(0, 1, size), rng.integers(0, 4, size), np.zeros(size), lone):
        given = values.astype(np.float32)
        assert beams._largest(given, 8).tolist() == np.argsort(-given, kind="stable")[:8].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("kind", translators.KINDS)
def test_the_tokens_are_those_of_transformers(kind, tmp_path):
    """Twenty sources in each way: three families, sixty of sixty in each; padded together there, alone here."""
    opened = translators.opened(tmp_path, kind)
    for name, way in WAYS.items():
        wanted = translators.generated(opened.eager, opened.sources, max_new_tokens=24, **way)
        search = Search(**way, max_new_tokens=24)
        found = [write(opened.model, [source], search, opened.rules)[0] for source in opened.sources]
        assert [list(one.tokens) for one in found] == wanted.tokens, name
        if search.num_beams > 1:
            assert [one.score for one in found] == pytest.approx(wanted.scores, rel=1e-3), name
        assert len({tuple(tokens) for tokens in wanted.tokens}) > 10, f"{name}: too much alike to prove anything"
    together = write(opened.model, opened.sources, Search(num_beams=4, max_new_tokens=24), opened.rules)
    alone = [write(opened.model, [s], Search(num_beams=4, max_new_tokens=24), opened.rules)[0] for s in opened.sources]
    assert [one.tokens for one in together] == [one.tokens for one in alone]
