"""Embeddings by hand: pooling, length, scores of pairs."""

import math

import numpy as np
import pytest

from edgewright.bundle.manifest import Settings
from edgewright.errors import DataError
from edgewright.tasks import Example
from edgewright.tasks.feature_extraction import FeatureExtraction
from edgewright.text.encoding import Encoding


def extractor(**fields):
    return FeatureExtraction(Settings(max_length=8, **fields))


def encoding(mask):
    mask = np.array(mask, dtype=np.int64)
    return Encoding({"attention_mask": mask}, tuple([(0, 0)] * int(n) for n in mask.sum(axis=1)))


HIDDEN = np.random.default_rng(3).normal(size=(3, 5, 4)).astype(np.float32)


MASK = [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]


def by_hand(pooling):
    """Pooling in plain loops."""
    pooled = []
    for text, mask in zip(HIDDEN, MASK, strict=True):
        real = [vector for vector, flag in zip(text, mask, strict=True) if flag]
        columns = [[float(vector[at]) for vector in real] for at in range(4)]
        how = {"mean": lambda c: sum(c) / len(c), "cls": lambda c: c[0], "max": max}[pooling]
        pooled.append([how(column) for column in columns])
    return np.array(pooled)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_pooling_is_over_real_tokens_only(pooling):
    given = encoding(MASK)
    outputs = {"last_hidden_state": HIDDEN}
    found = extractor(pooling=pooling).reduce(outputs, given)
    np.testing.assert_allclose(found, by_hand(pooling), rtol=1e-5, atol=1e-6)
    assert {vector.dtype for vector in found} == {np.dtype(np.float32)}
    padding = np.array(MASK)[:, :, None] == 0
    spoilt = {"last_hidden_state": np.where(padding, np.float32(1e6), HIDDEN)}
    np.testing.assert_allclose(extractor(pooling=pooling).reduce(spoilt, given), found, rtol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_normalised_vectors_have_length_one(pooling):
    found = extractor(pooling=pooling, normalize=True).reduce({"last_hidden_state": HIDDEN}, encoding(MASK))
    plain = by_hand(pooling)
    np.testing.assert_allclose(found, plain / np.linalg.norm(plain, axis=1, keepdims=True), rtol=1e-5)


def test_a_vector_of_zeros_stays_zero():
    found = extractor(normalize=True).reduce(
        {"last_hidden_state": np.zeros((1, 5, 4), np.float32)}, encoding([[1] * 5])
    )
    assert [vector.tolist() for vector in found] == [[0.0] * 4]


def test_an_embedding_is_answered_for_each_text():
    found = extractor().decode({"last_hidden_state": HIDDEN}, encoding(MASK))
    assert [vector.shape for vector in found] == [(4,)] * 3
    assert extractor().record(found[0]) == [float(x) for x in found[0]]


def test_spearman_with_ties_by_hand():
    # cosines 1, 0, 0.6, 0 -> ranks 4, 1.5, 3, 1.5; scores 5, 1, 1, 3 -> ranks 4, 1.5, 1.5, 3
    # deviations (1.5, -1, .5, -1) and (1.5, -1, -1, .5): 2.25 / 4.5
    first = np.array([[1, 0], [1, 0], [5, 0], [0, 2]], dtype=np.float32)
    second = np.array([[2, 0], [0, 1], [3, 4], [1, 0]], dtype=np.float32)
    rows = [Example(("a", "b"), score) for score in (5.0, 1.0, 1.0, 3.0)]
    assert extractor().score(np.concatenate([first, second]), rows) == pytest.approx(50.0)


def test_spearman_does_not_care_for_the_scale():
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(20, 6))
    scores = rng.normal(size=10)
    one = extractor().score(vectors, [Example(("a", "b"), s) for s in scores])
    other = extractor().score(vectors * 7, [Example(("a", "b"), math.exp(3 * s) + 100) for s in scores])
    assert one == pytest.approx(other)
    assert -100 <= one <= 100


def test_pairs_are_asked_first_sentences_first():
    rows = [Example(("a", "b"), 1.0), Example(("c", "d"), 2.0)]
    assert extractor().items(rows) == ["a", "c", "b", "d"]


@pytest.mark.parametrize("name", ["score", "label"])
def test_a_row_of_a_pair_and_its_score(name):
    row = {"sentence1": "a", "sentence2": "b", name: "3.5"}
    assert extractor().example(row) == Example(("a", "b"), 3.5)


@pytest.mark.parametrize("row", [{"sentence1": "a", "score": 1}, {"sentence1": "a", "sentence2": "b"}, {"score": 1}])
def test_a_pair_with_a_missing_column_is_refused(row):
    with pytest.raises(DataError, match="no column"):
        extractor().example(row)


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(DataError, match="'high' is not a number"):
        extractor().example({"sentence1": "a", "sentence2": "b", "score": "high"})
