"""BLEU and chrF beside sacrebleu's own, and beside the rows that weights leave out."""

import numpy as np
import pytest

from edgewright.statistics import metrics
from edgewright.statistics.translations import bleu, chrf

SAID = ["Enciende las luces.", "El gato come", "", "Cierra la puerta de la casa, por favor", "a b c d e f"]
WANTED = ["Enciende la luz.", "El gato no come pescado.", "Nada", "Cierra la puerta de casa, por favor.", "a b c d e f"]


@pytest.fixture
def sacrebleu():
    return pytest.importorskip("sacrebleu", reason="BLEU is that of sacrebleu: pip install 'edgewright[translation]'")


def test_bleu_is_that_of_sacrebleu(sacrebleu):
    found = metrics.value(bleu(SAID, WANTED), len(SAID))
    assert found == pytest.approx(sacrebleu.corpus_bleu(SAID, [WANTED]).score, abs=1e-9)


def test_a_row_that_does_not_count_changes_no_bleu(sacrebleu):
    weights = np.array([[1.0, 1, 0, 2, 1]])
    said, wanted = ([side[at] for at in (0, 1, 3, 3, 4)] for side in (SAID, WANTED))
    assert bleu(SAID, WANTED)(weights)[0] == pytest.approx(sacrebleu.corpus_bleu(said, [wanted]).score, abs=1e-9)


def test_chrf_is_that_of_sacrebleu(sacrebleu):
    assert metrics.value(chrf(SAID, WANTED), len(SAID)) == pytest.approx(
        sacrebleu.corpus_chrf(SAID, [WANTED]).score, abs=1e-9
    )


def test_chrf_by_hand():
    assert metrics.value(chrf(["same"], ["same"]), 1) == pytest.approx(100)
    assert metrics.value(chrf(["abc"], ["xyz"]), 1) == 0
    # 1 of 2 characters on both sides, and no sequence of two: the mean of 1/2 and 0
    assert metrics.value(chrf(["ab"], ["ac"]), 1) == pytest.approx(25)
    assert metrics.value(chrf([""], ["x"]), 1) == 0
