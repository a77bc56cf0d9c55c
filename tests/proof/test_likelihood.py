"""Likelihoods of held-out text, by decoders whose every logit is known."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edgewright.contracts.decoder import Decoder
from edgewright.data.text_documents import Documents
from edgewright.errors import DataError, UsageError
from edgewright.proof.likelihood import held_out, losses_of
from edgewright.statistics import metrics
from edgewright.text.tokenizer import Tokenizer
from edgewright.training.decoder_tokenizer import train_decoder_tokenizer

STORY = Path(__file__).parents[1] / "story.txt"


class Bigram(Decoder):
    """Rates each successor by a table (vocabulary, vocabulary); notes how many tokens it has read."""

    def __init__(self, table, context):
        super().__init__(len(table), context)
        self.table, self.cost = table, 0

    def _run(self, ids, kept):
        self.cost += len(ids)
        return self.table[ids[-kept:]]

    def _keys_and_values(self, length):
        return [np.zeros(length)]

    def _take(self, arrays, length):
        pass


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    out = tmp_path_factory.mktemp("tokenizer")
    train_decoder_tokenizer(Documents.of([STORY]), out, kind="bpe", size=300, max_length=64)
    return Tokenizer(out, 64)


@pytest.fixture(scope="module")
def table():
    return np.random.default_rng(0).normal(size=(300, 300)).astype(np.float32) * 3


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "held.txt"
    path.write_text("<|endoftext|>".join(["the captain and the sea", STORY.read_text().strip(), "x", "¿Y el año?"]))
    return path


@pytest.mark.parametrize("context", [8, 33, 64, 4096])
def test_every_token_but_a_documents_first_is_predicted_once(texts, tokenizer, table, context):
    held = held_out(texts, (), tokenizer, context)
    decoder = Bigram(table, context)
    found = {name: metrics.value(one, held.n) for name, one in held.measured(losses_of(decoder, held.spans)).items()}
    shares = table.astype(np.float64) - np.log(np.exp(table.astype(np.float64)).sum(1, keepdims=True))
    total = tokens = size = 0
    for text in texts.read_text().split("<|endoftext|>"):
        ids = tokenizer.ids(text)
        if len(ids) > 1:
            total -= sum(shares[a, b] for a, b in pairwise(ids))
            tokens += len(ids) - 1
            size += len(text.encode()) - len(tokenizer.decode(ids[:1]).encode())
    assert found["perplexity"] == pytest.approx(math.exp(total / tokens))
    assert found["bits_per_byte"] == pytest.approx(total / math.log(2) / size)
    assert held.n == 3


def cloze(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_the_likeliest_ending_is_chosen_and_what_endings_share_is_read_once(tmp_path, tokenizer):
    good = tokenizer.ids(" sea", special=False)
    table = np.zeros((300, 300), np.float32)
    for before, after in zip([*tokenizer.ids("captain")[-1:], *good], good, strict=False):
        table[before, after] = 9.0
    text, endings = "the captain " * 12 + "captain", ["night", "sea", "calm"]
    rows = [{"text": text, "endings": endings, "label": label} for label in (1, 1, 0)]
    held = held_out(cloze(tmp_path / "cloze.jsonl", rows), ("cloze",), tokenizer, 128)
    decoder = Bigram(table, 128)
    (metric,) = held.measured(losses_of(decoder, held.spans)).values()
    assert metrics.value(metric, 3) == pytest.approx(200 / 3)
    length = len(tokenizer.ids(text))
    assert decoder.cost < 2 * length + 9 * 8


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": "a"}, "row 1 of .* is none of a cloze test"),
        ({"text": "a", "endings": ["b", "c"], "label": 2}, "has 2 endings and the label 2"),
        ({"text": "a", "endings": ["b " * 40], "label": 0}, "the context is 16; shorten it"),
    ],
)
def test_a_broken_row_is_said(tmp_path, tokenizer, row, words):
    with pytest.raises(DataError, match=words):
        held_out(cloze(tmp_path / "c.jsonl", [row]), ("cloze",), tokenizer, 16)


def test_what_cannot_be_asked_is_said(texts, tokenizer):
    with pytest.raises(UsageError, match="no metric accuracy; choose from perplexity, bits_per_byte, cloze"):
        held_out(texts, ("accuracy",), tokenizer, 16)
    with pytest.raises(UsageError, match="ask for cloze alone"):
        held_out(texts, ("cloze", "perplexity"), tokenizer, 16)
    texts.write_text("a")
    with pytest.raises(DataError, match="holds no text of two tokens"):
        held_out(texts, (), tokenizer, 16)
